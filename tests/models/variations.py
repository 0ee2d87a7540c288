"""The tiny model with other weights: disturbed ones, and quantised ones."""

from pathlib import Path

import llama_cpp
import numpy as np
from safetensors.numpy import load_file, save_file

from tests.models.expand import WEIGHTS

DISTURBED = "model.layers.1.mlp.down_proj.weight"


def disturb(target: Path, noise: float) -> Path:
    """Write the committed weights with Gaussian noise on one tensor, ``noise`` times its own
    standard deviation; for ``write_gguf`` and ``write_hugging_face``."""
    weights = load_file(WEIGHTS)
    tensor = weights[DISTURBED].astype(np.float32)
    drawn = np.random.default_rng(1).standard_normal(tensor.shape, dtype=np.float32)
    weights[DISTURBED] = (tensor + noise * tensor.std() * drawn).astype(np.float16)
    save_file(weights, target)
    return target


def quantise(source: Path, target: Path, kind: str) -> Path:
    """Write the GGUF file ``source`` again with weights of ``kind``, such as ``Q8_0``."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    failed = llama_cpp.llama_model_quantize(bytes(source), bytes(target), params)
    assert not failed, f"{source} could not be quantised"
    return target
