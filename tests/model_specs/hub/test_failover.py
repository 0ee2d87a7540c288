"""What one hub cannot give, the other gives, unless it is not the same."""

import random

import pytest
from msgspec.structs import replace

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.store import Store
from codeserve.model_specs.spec import Hub
from tests.model_specs.hub.local_hub import LocalHub

WEIGHTS = random.Random(4).randbytes(100_000)
HUGGINGFACE = Artifact(hub=Hub.HUGGINGFACE, repository="me/mine", files=("mine.gguf",))
MODELSCOPE = Artifact(hub=Hub.MODELSCOPE, repository="me/mirror", files=("mine.gguf",))


def silent(done: int, total: int | None) -> None:
    pass


@pytest.mark.parametrize("sources", [(HUGGINGFACE, MODELSCOPE), (MODELSCOPE, HUGGINGFACE)])
def test_a_repository_that_one_hub_lacks_comes_from_the_other(
    hub: LocalHub, store: Store, sources: tuple[Artifact, ...]
) -> None:
    hub.add(sources[1].repository, {"mine.gguf": WEIGHTS})
    stored = store.pull(sources, silent)
    assert stored.artifact == sources[1]
    assert stored.path.read_bytes() == WEIGHTS
    hub.requests.clear()
    assert store.pull(sources, silent) == stored
    assert hub.requests == []


def test_a_hub_whose_bytes_are_damaged_is_left_for_the_other(hub: LocalHub, store: Store) -> None:
    for name in ("me/mine", "me/mirror"):
        hub.add(name, {"mine.gguf": WEIGHTS})
    hub.fail("/cdn/", times=2, flip=5)
    assert store.pull([HUGGINGFACE, MODELSCOPE], silent).artifact == MODELSCOPE


def test_a_hub_that_is_down_is_left_for_the_other(
    hub: LocalHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    hub.add("me/mirror", {"mine.gguf": WEIGHTS})
    assert store.pull([HUGGINGFACE, MODELSCOPE], silent).artifact == MODELSCOPE


def test_hubs_that_disagree_about_a_file_are_not_mixed(hub: LocalHub, store: Store) -> None:
    hub.add("me/mine", {"mine.gguf": WEIGHTS})
    hub.add("me/mirror", {"mine.gguf": WEIGHTS[::-1]})
    hub.fail("/cdn/", times=2, flip=5)
    with pytest.raises(PullError, match=r"mine\.gguf is not the same file on both hubs") as raised:
        store.pull([HUGGINGFACE, MODELSCOPE], silent)
    assert raised.value.code == "conflict"
    assert store.stored() == ()


def test_each_source_is_kept_apart_from_its_other_revisions(hub: LocalHub, store: Store) -> None:
    repository = hub.add("me/mine", {"mine.gguf": WEIGHTS})
    repository.revisions.add("v2")
    first = store.pull([HUGGINGFACE], silent)
    second = store.pull([replace(HUGGINGFACE, revision="v2")], silent)
    assert set(store.stored()) == {first, second}
