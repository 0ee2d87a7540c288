"""What is wrong with a model or its options is said before vLLM starts, or found in its log."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from codeserve.engines import registry
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.types import EngineConfig, LoadQuantization


async def failure(path: Path, **fields: Any) -> str:
    """Why a model cannot be loaded."""
    values: dict[str, Any] = {"engine": "vllm", "path": str(path), "context_length": 512} | fields

    async def load() -> None:
        await registry.create(EngineConfig(**values)).start(lambda phase, fraction: None)

    with pytest.raises(ModelLoadError) as caught:
        await load()
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
async def test_a_device_that_is_not_there_is_an_error(tiny_deepseek_folder: Path) -> None:
    message = await failure(tiny_deepseek_folder, options={"device": "cuda"})
    assert message.startswith("device is 'cuda', but vLLM runs on 'cpu' here")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
async def test_an_option_that_needs_a_gpu_is_an_error_without_one(
    tiny_deepseek_folder: Path,
) -> None:
    message = await failure(tiny_deepseek_folder, options={"device_ids": [0]})
    assert "device_ids needs a GPU" in message


@pytest.mark.parametrize("quantization", LoadQuantization)
async def test_quantising_while_loading_is_an_error(
    tiny_deepseek_folder: Path, quantization: LoadQuantization
) -> None:
    message = await failure(tiny_deepseek_folder, quantization=quantization)
    assert f"cannot quantise to {quantization.value}" in message
    assert "transformers" in message


async def test_two_context_lengths_are_an_error(tiny_deepseek_folder: Path) -> None:
    message = await failure(tiny_deepseek_folder, options={"max_model_len": 1024})
    assert "context_length is 512, but options.max_model_len is 1024" in message


async def test_a_context_beyond_the_trained_one_is_an_error(tiny_deepseek_folder: Path) -> None:
    message = await failure(
        tiny_deepseek_folder, context_length=None, options={"max_model_len": 99999}
    )
    assert "99999" in message


async def test_weights_that_do_not_fit_the_configuration_are_an_error_with_its_cause(
    tiny_deepseek_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_deepseek_folder, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.mlp.surprise.weight"] = weights["model.norm.weight"].clone()
    save_file(weights, folder / "model.safetensors")
    message = await failure(folder)
    assert message.startswith("vLLM could not load the model: ")
    assert "surprise" in message
