"""Weights come whole from a hub through Hugging Face's own client, or the error says why not."""

import random
from pathlib import Path

import pytest

from codeserve.model_specs.spec import Hub as HubName
from codeserve.model_specs.spec import ModelFormat, ModelSpec, Source
from tests.model_specs.hub.local_hub import Hub

REVISION = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = random.Random(1).randbytes(300_000)


def spec_of(*sources: Source) -> ModelSpec:
    return ModelSpec(
        size_in_billions="1",
        model_format=ModelFormat.GGUF,
        variant="v1",
        quantizations=("Q8_0",),
        default_quantization="Q8_0",
        engines=("llama.cpp",),
        sources=sources,
    )


def gguf(model_id: str = "me/mine", revision: str | None = REVISION) -> ModelSpec:
    return spec_of(
        Source(
            hub=HubName.HUGGINGFACE,
            model_id=model_id,
            revision=revision,
            file="mine.{quantization}.gguf",
        )
    )


def folder() -> ModelSpec:
    return spec_of(Source(hub=HubName.HUGGINGFACE, model_id="me/mine", revision=REVISION))


def test_one_file_is_downloaded_byte_for_byte(hub: Hub) -> None:
    hub.repositories["me/mine"] = {"mine.Q8_0.gguf": WEIGHTS, "mine.Q2_K.gguf": b"other"}
    pull = hub.pull(gguf(), "Q8_0")
    assert Path(pull.path).name == "mine.Q8_0.gguf"
    assert Path(pull.path).read_bytes() == WEIGHTS
    assert not any("Q2_K" in request for request in hub.requests)


def test_progress_rises_to_the_files_size(hub: Hub) -> None:
    hub.repositories["me/mine"] = {"mine.Q8_0.gguf": WEIGHTS}
    progress = hub.pull(gguf(), "Q8_0").progress
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert progress[-1] == (len(WEIGHTS), len(WEIGHTS))


@pytest.mark.parametrize("revision", [REVISION, None])
def test_a_second_pull_downloads_nothing(hub: Hub, revision: str | None) -> None:
    hub.repositories["me/mine"] = {"mine.Q8_0.gguf": WEIGHTS}
    first = hub.pull(gguf(revision=revision), "Q8_0")
    hub.requests.clear()
    assert hub.pull(gguf(revision=revision), "Q8_0").path == first.path
    assert not any(request.startswith("GET /me/mine") for request in hub.requests)


def test_a_cached_file_needs_no_network(hub: Hub) -> None:
    hub.repositories["me/mine"] = {"mine.Q8_0.gguf": WEIGHTS}
    first = hub.pull(gguf(), "Q8_0")
    assert hub.pull(gguf(), "Q8_0", HF_HUB_OFFLINE="1").path == first.path


def test_a_folder_is_downloaded_with_safetensors_and_without_pytorch_files(hub: Hub) -> None:
    hub.repositories["me/mine"] = {
        "config.json": b"{}",
        "tokenizer.json": b"{ }",
        "model.safetensors": WEIGHTS,
        "pytorch_model.bin": b"twice the download",
        "README.md": b"not needed",
    }
    pull = hub.pull(folder(), "none")
    assert sorted(file.name for file in Path(pull.path).iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert Path(pull.path, "model.safetensors").read_bytes() == WEIGHTS
    assert pull.progress[-1][0] >= len(WEIGHTS)


def test_a_folder_without_safetensors_is_downloaded_with_pytorch_files(hub: Hub) -> None:
    hub.repositories["me/mine"] = {"config.json": b"{}", "pytorch_model.bin": WEIGHTS}
    pull = hub.pull(folder(), "none")
    assert Path(pull.path, "pytorch_model.bin").read_bytes() == WEIGHTS


def test_a_folder_without_weights_is_an_error(hub: Hub) -> None:
    hub.repositories["me/mine"] = {"config.json": b"{}"}
    assert "holds no weights" in hub.pull(folder(), "none").error


def test_a_missing_file_is_named(hub: Hub) -> None:
    hub.repositories["me/mine"] = {"mine.Q8_0.gguf": WEIGHTS}
    error = hub.pull(gguf(), "Q9").error
    assert "me/mine" in error
    assert "has no file mine.Q9.gguf" in error


def test_a_missing_repository_is_named(hub: Hub) -> None:
    assert (
        "There is no repository me/gone, or it is private"
        in hub.pull(gguf("me/gone"), "Q8_0").error
    )


def test_a_gated_repository_says_how_to_get_in(hub: Hub) -> None:
    hub.refused["me/mine"] = (403, "GatedRepo")
    error = hub.pull(gguf(), "Q8_0").error
    assert "gated" in error
    assert "HF_TOKEN" in error


def test_a_missing_revision_is_named(hub: Hub) -> None:
    hub.refused["me/mine"] = (404, "RevisionNotFound")
    assert f"has no revision {REVISION}" in hub.pull(gguf(), "Q8_0").error


def test_without_network_the_error_says_what_to_check(hub: Hub) -> None:
    error = hub.pull(gguf(), "Q8_0", HF_HUB_OFFLINE="1").error
    assert "not in the cache" in error
    assert "HF_HUB_OFFLINE" in error
