"""Each way to fail has an error and a code of its own, and leaves nothing recorded."""

import random
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.store import Store
from codeserve.model_specs.spec import Hub
from tests.model_specs.hub.local_hub import COMMIT, LocalHub, Repository

WEIGHTS = random.Random(2).randbytes(200_000)
HUGGINGFACE = Artifact(
    hub=Hub.HUGGINGFACE, repository="me/mine", revision=COMMIT, files=("mine.gguf",)
)
MODELSCOPE = Artifact(hub=Hub.MODELSCOPE, repository="me/mine", files=("mine.gguf",))
BOTH = pytest.mark.parametrize("artifact", [HUGGINGFACE, MODELSCOPE])


@pytest.fixture
def repository(hub: LocalHub) -> Repository:
    return hub.add("me/mine", {"mine.gguf": WEIGHTS, "other.gguf": b"other", "config.json": b"{}"})


def failure(store: Store, artifact: Artifact) -> PullError:
    with pytest.raises(PullError) as raised:
        store.pull([artifact], lambda done, total: None)
    assert store.stored() == ()
    assert store.find([artifact]) is None
    return raised.value


@BOTH
def test_a_repository_that_does_not_exist(
    hub: LocalHub, store: Store, repository: Repository, artifact: Artifact
) -> None:
    error = failure(store, replace(artifact, repository="me/gone"))
    assert error.code == "not_found"
    assert "There is no repository me/gone, or it is private" in str(error)


@BOTH
def test_a_revision_that_is_gone(
    hub: LocalHub, store: Store, repository: Repository, artifact: Artifact
) -> None:
    error = failure(store, replace(artifact, revision="gone"))
    assert error.code == "revision_not_found"
    assert "me/mine has no revision gone" in str(error)


@BOTH
def test_a_file_that_is_not_there_is_named_with_those_that_are(
    hub: LocalHub, store: Store, repository: Repository, artifact: Artifact
) -> None:
    error = failure(store, replace(artifact, files=("mine.Q9.gguf",)))
    assert error.code == "file_not_found"
    assert "no file mine.Q9.gguf; there is: mine.gguf, other.gguf" in str(error)


@BOTH
def test_a_folder_that_is_no_model(
    hub: LocalHub, store: Store, repository: Repository, artifact: Artifact
) -> None:
    error = failure(store, replace(artifact, files=()))
    assert error.code == "not_a_model"
    assert "it has no weights" in str(error)
    assert hub.downloads() == []


@pytest.mark.parametrize(
    ("artifact", "refusal"),
    [(HUGGINGFACE, (403, {"X-Error-Code": "GatedRepo"})), (MODELSCOPE, (403, {}))],
)
def test_a_gated_repository_says_how_to_get_in(
    hub: LocalHub, store: Store, repository: Repository, artifact: Artifact, refusal: Any
) -> None:
    repository.refusal = refusal
    error = failure(store, artifact)
    assert error.code == "gated"
    assert "_TOKEN to a token of that account" in str(error)


@pytest.mark.parametrize(
    ("artifact", "variable", "headers"),
    [
        (
            HUGGINGFACE,
            "HF_TOKEN",
            {"X-Error-Message": "Invalid credentials in Authorization header"},
        ),
        (MODELSCOPE, "MODELSCOPE_API_TOKEN", {}),
    ],
)
def test_a_token_that_is_not_valid(
    hub: LocalHub,
    store: Store,
    repository: Repository,
    artifact: Artifact,
    variable: str,
    headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, "wrong")
    hub.fail("GET /api", times=9, status=401, headers=headers)
    error = failure(store, artifact)
    assert error.code == "unauthorized"
    assert variable in str(error)


@pytest.mark.parametrize(
    ("artifact", "variable"), [(HUGGINGFACE, "HF_TOKEN"), (MODELSCOPE, "MODELSCOPE_API_TOKEN")]
)
def test_the_token_opens_a_private_repository_and_is_not_sent_elsewhere(
    hub: LocalHub,
    store: Store,
    repository: Repository,
    artifact: Artifact,
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repository.token = "secret"
    assert failure(store, artifact).code == "not_found"
    monkeypatch.setenv(variable, "secret")
    stored = store.pull([artifact], lambda done, total: None)
    assert stored.path.read_bytes() == WEIGHTS
    assert [one.authorization for one in hub.downloads()] == [None]


@BOTH
def test_too_little_space_is_found_before_a_byte_is_fetched(
    hub: LocalHub, store: Store, repository: Repository, artifact: Artifact
) -> None:
    repository.sizes["mine.gguf"] = 10**18
    error = failure(store, artifact)
    assert error.code == "no_space"
    assert "needs 1000000000.00 GB more, and " in str(error)
    assert " GB free" in str(error)
    assert hub.downloads() == []


def test_a_size_that_the_hub_does_not_know_does_not_matter(
    hub: LocalHub, store: Store, repository: Repository
) -> None:
    repository.sizes["mine.gguf"] = 0
    stored = store.pull([MODELSCOPE], lambda done, total: None)
    assert stored.path.read_bytes() == WEIGHTS


@BOTH
def test_bytes_that_come_wrong_are_fetched_once_more(
    hub: LocalHub, store: Store, repository: Repository, artifact: Artifact
) -> None:
    hub.fail("/cdn/", flip=100_000)
    stored = store.pull([artifact], lambda done, total: None)
    assert stored.path.read_bytes() == WEIGHTS
    assert len(hub.downloads()) == 2


@BOTH
def test_bytes_that_come_wrong_twice_are_not_kept(
    hub: LocalHub, store: Store, repository: Repository, artifact: Artifact
) -> None:
    hub.fail("/cdn/", times=2, flip=100_000)
    error = failure(store, artifact)
    assert error.code == "corrupt"
    assert "mine.gguf comes damaged: its SHA-256 is " in str(error)
    assert len(hub.downloads()) == 2


def test_a_small_file_that_comes_wrong_is_noticed_by_its_git_id(
    hub: LocalHub, store: Store, repository: Repository
) -> None:
    hub.fail(f"GET /me/mine/resolve/{COMMIT}/config.json", times=2, flip=0)
    error = failure(store, replace(HUGGINGFACE, files=("config.json",)))
    assert error.code == "corrupt"
    assert "its Git id is " in str(error)


@BOTH
def test_a_hub_that_refuses_too_many_requests_is_asked_again_when_it_says(
    hub: LocalHub, store: Store, repository: Repository, artifact: Artifact
) -> None:
    hub.fail("GET /api", times=2, status=429, headers={"Retry-After": "0"})
    hub.fail("/cdn/", status=429, headers={"Retry-After": "1"})
    assert store.pull([artifact], lambda done, total: None).path.read_bytes() == WEIGHTS


@BOTH
def test_a_hub_that_fails_for_a_moment_is_asked_again(
    hub: LocalHub, store: Store, repository: Repository, artifact: Artifact
) -> None:
    hub.fail("GET /api", status=503)
    hub.fail("/cdn/", status=502)
    assert store.pull([artifact], lambda done, total: None).path.read_bytes() == WEIGHTS


def test_a_hub_that_asks_for_too_long_a_pause_is_given_up(
    hub: LocalHub, store: Store, repository: Repository
) -> None:
    hub.fail("GET /api", status=429, headers={"Retry-After": "3600"})
    error = failure(store, HUGGINGFACE)
    assert error.code == "rate_limited"
    assert "asks to try again in 3600 s" in str(error)


def test_a_store_that_cannot_be_written(
    hub: LocalHub, repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "store").write_text("This is no folder.")
    with pytest.raises(
        PullError, match=r"The store cannot be written: .*Not a directory"
    ) as raised:
        Store(tmp_path / "store").pull([HUGGINGFACE], lambda done, total: None)
    assert raised.value.code == "disk"
    assert hub.downloads() == []


def test_no_hub_at_that_address(
    hub: LocalHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    error = failure(store, HUGGINGFACE)
    assert error.code == "unreachable"
    assert "Check the network and HF_ENDPOINT" in str(error)
