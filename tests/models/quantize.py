"""Writes the tiny model as GPTQ and AWQ checkpoints, and their dequantised weights beside them.

    python -m tests.models.quantize FOLDER

makes ``FOLDER/gptq``, ``FOLDER/gptq_desc_act`` and ``FOLDER/awq``, laid out as the published
checkpoints of DeepSeek Coder are, and ``FOLDER/gptq_dequantised`` and so on: plain float32 weights
of exactly the same values. What an engine computes from the two differs by its kernels alone.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.models import packing
from tests.models.expand import WEIGHTS, read_weights, write_hugging_face
from tests.models.prompts import END
from tests.models.rounding import GROUP, Float32, Int32, Quantized, by_size, in_order, quantized
from tests.models.vocabulary import Vocabulary

ADAPTED = Path(__file__).with_name("tiny_four_bits.safetensors")
"""The weights of the linear layers, adapted to rounding by `adapt.py`."""
VOCABULARY = (
    Path(__file__).parents[2] / ".venv/share/codeserve-vocabularies/ggml-vocab-deepseek-coder.gguf"
)
DTYPE = "float16"


@dataclass(frozen=True)
class Scheme:
    """How a checkpoint is rounded, packed and described."""

    group_of: Callable[[Float32], Int32]
    symmetric: bool
    pack: Callable[[Quantized], packing.Tensors]
    config: Mapping[str, Any]
    """``quantization_config`` of ``config.json``."""
    file: str
    """Where the same is said once more, in the words of the program that made the checkpoint."""
    content: Mapping[str, Any]

    def quantized(self, weight: Float32) -> Quantized:
        """Round one linear layer's weights."""
        return quantized(weight, self.group_of(weight), symmetric=self.symmetric)


def gptq(group_of: Callable[[Float32], Int32], *, desc_act: bool) -> Scheme:
    """As AutoGPTQ 0.4 wrote it."""
    content = {
        "bits": packing.BITS,
        "group_size": GROUP,
        "damp_percent": 0.1,
        "desc_act": desc_act,
        "static_groups": False,
        "sym": True,
        "true_sequential": True,
        "model_name_or_path": None,
        "model_file_base_name": "model",
    }
    config = content | {"quant_method": "gptq"}
    return Scheme(group_of, True, packing.gptq, config, "quantize_config.json", content)


def awq() -> Scheme:
    """As AutoAWQ 0.1 wrote it."""
    config = {
        "bits": packing.BITS,
        "group_size": GROUP,
        "quant_method": "awq",
        "version": "gemm",
        "zero_point": True,
    }
    content = {"zero_point": True, "q_group_size": GROUP, "w_bit": packing.BITS, "version": "GEMM"}
    return Scheme(in_order, False, packing.awq, config, "quant_config.json", content)


SCHEMES = {
    "gptq": gptq(in_order, desc_act=False),
    "gptq_desc_act": gptq(by_size, desc_act=True),
    "awq": awq(),
}


def write_quantized(
    scheme: Scheme,
    vocabulary: Vocabulary,
    folder: Path,
    *,
    end: int = END,
    chat_template: str | None = None,
) -> None:
    """Write a checkpoint; the keywords are those of `write_gguf`."""
    tensors: packing.Tensors = {}
    for name, weight in adapted_weights().items():
        if is_quantized(name):
            layer = name.removesuffix("weight")
            parts = scheme.pack(scheme.quantized(weight))
            tensors |= {layer + part: array for part, array in parts.items()}
        else:
            tensors[name] = weight.astype(DTYPE)
    write_hugging_face(WEIGHTS, vocabulary, folder, end=end, chat_template=chat_template)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    configure(folder, {"quantization_config": scheme.config})
    (folder / scheme.file).write_text(json.dumps(scheme.content, indent=1))


def write_dequantized(
    scheme: Scheme,
    vocabulary: Vocabulary,
    folder: Path,
    *,
    end: int = END,
    chat_template: str | None = None,
) -> None:
    """Write a checkpoint's values as plain weights, in float32 because float16 rounds them."""
    tensors = {
        name: scheme.quantized(weight).dequantized() if is_quantized(name) else weight
        for name, weight in adapted_weights().items()
    }
    write_hugging_face(WEIGHTS, vocabulary, folder, end=end, chat_template=chat_template)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    configure(folder, {})


def adapted_weights() -> dict[str, Float32]:
    """The full model's tensors before they are rounded, under their Hugging Face names."""
    adapted = {name: array.astype(np.float32) for name, array in load_file(ADAPTED).items()}
    return read_weights(WEIGHTS) | adapted


def is_quantized(name: str) -> bool:
    """True for the linear layers of the blocks; tables and norms stay as they are."""
    return name.endswith("_proj.weight")


def configure(folder: Path, additions: Mapping[str, Any]) -> None:
    """Change ``config.json`` to float16 and add to it."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | {"torch_dtype": DTYPE} | additions, indent=1))


def write_all(vocabulary: Vocabulary, folder: Path) -> None:
    """Write every checkpoint and its dequantised weights into a folder of its name."""
    for name, scheme in SCHEMES.items():
        quantized_folder, dequantized_folder = folders(folder, name)
        write_quantized(scheme, vocabulary, quantized_folder)
        write_dequantized(scheme, vocabulary, dequantized_folder)


def folders(folder: Path, name: str) -> tuple[Path, Path]:
    """Where `write_all` puts a checkpoint and its dequantised weights."""
    return folder / name, folder / f"{name}_dequantised"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    write_all(Vocabulary.read(VOCABULARY), folder)


if __name__ == "__main__":
    main()
