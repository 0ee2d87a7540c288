"""Manifests are written whole, read back the same, and skipped where they are not manifests."""

import logging
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.manifests import Manifests, key
from codeserve.model_specs.hub.stored import Stored, StoredFile
from codeserve.model_specs.spec import Hub

ARTIFACT = Artifact(hub=Hub.HUGGINGFACE, repository="me/mine", files=("mine.gguf",))


def stored(artifact: Artifact = ARTIFACT) -> Stored:
    return Stored(
        artifact=artifact,
        commit="abc",
        path=Path("/models/mine.gguf"),
        root=Path("/models"),
        files=(StoredFile(name="mine.gguf", bytes=7, sha256="f" * 64, modified=3),),
        pulled_at=12.5,
    )


@pytest.fixture
def manifests(tmp_path: Path) -> Manifests:
    return Manifests(tmp_path / "manifests")


def test_what_is_written_is_read(manifests: Manifests) -> None:
    assert manifests.read(ARTIFACT) is None
    assert manifests.all() == ()
    manifests.write(stored())
    manifests.write(stored(replace(ARTIFACT, revision="v2")))
    assert manifests.read(ARTIFACT) == stored()
    assert len(manifests.all()) == 2
    manifests.remove(ARTIFACT)
    assert manifests.read(ARTIFACT) is None


def test_each_artifact_has_a_readable_name_of_its_own() -> None:
    assert key(ARTIFACT).startswith("huggingface--me--mine--")
    others = [
        replace(ARTIFACT, files=()),
        replace(ARTIFACT, files=("*.gguf",)),
        replace(ARTIFACT, revision="v2"),
        replace(ARTIFACT, hub=Hub.MODELSCOPE),
        replace(ARTIFACT, repository="me--mine"),
        ARTIFACT,
    ]
    assert len({key(one) for one in others}) == len(others)


def test_a_damaged_manifest_is_reported_and_the_others_are_read(
    manifests: Manifests, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = replace(ARTIFACT, revision="v2")
    manifests.write(stored())
    manifests.write(stored(other))
    path = tmp_path / "manifests" / f"{key(ARTIFACT)}.json"
    path.write_bytes(path.read_bytes()[:50])
    with caplog.at_level(logging.WARNING):
        assert manifests.all() == (stored(other),)
    assert f"{path} is no manifest" in caplog.text


def test_a_manifest_that_cannot_be_written_leaves_the_old_one(
    manifests: Manifests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests.write(stored())

    def fail(descriptor: int) -> None:
        raise OSError("The disk is gone.")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="The disk is gone"):
        manifests.write(replace(stored(), commit="def"))
    assert manifests.all() == (stored(),)


def test_what_has_begun_is_known_until_it_is_written(manifests: Manifests) -> None:
    assert not manifests.begun(ARTIFACT)
    manifests.begin(ARTIFACT)
    assert manifests.begun(ARTIFACT)
    assert manifests.all() == ()
    manifests.write(stored())
    assert not manifests.begun(ARTIFACT)
