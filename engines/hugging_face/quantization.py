"""How the weights of a folder are quantised."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.hugging_face.documents import Document, convert, read
from codeserve.model_specs.safetensors_header import Tensor

OLDER_FILES = {"quantize_config.json": "gptq", "quant_config.json": "awq"}
"""Where quantisers wrote what is in ``config.json`` today, and which method's file it is."""

PACKED = frozenset({"qweight", "weight_packed"})
HELPERS = frozenset(
    {
        "qzeros", "scales", "g_idx", "weight_scale", "weight_scale_inv", "weight_zero_point",
        "weight_g_idx", "weight_shape", "input_scale", "absmax", "quant_map", "nested_absmax",
        "nested_quant_map", "SCB", "weight_format", "inv_freq",
    }
)  # fmt: skip
"""What lies beside the weights to decode them, and is no weight itself."""

WIDTH = {"I32": 32, "I64": 64, "I16": 16, "U8": 8, "I8": 8}


Bits = Annotated[int, msgspec.Meta(ge=1, le=64)]


class Quantization(msgspec.Struct, frozen=True):
    """What a checkpoint's configuration says of it."""

    method: str
    """``gptq``, ``awq``, ``bitsandbytes``, ``compressed-tensors``, ``fp8``, ..."""
    bits: int | None = None
    """Of a weight; None if it is not the same for all, or not said."""
    group_size: int | None = None
    """Weights that share a scale; -1: a whole column. None: not said."""
    desc_act: bool = False
    """GPTQ: the columns were quantised in the order of their activations."""


class _Weights(msgspec.Struct):
    num_bits: Bits | None = None
    group_size: int | None = None
    actorder: bool | str | None = None


class _Group(msgspec.Struct):
    weights: _Weights | None = None


class _Settings(msgspec.Struct):
    """The keys of every method, under all their names."""

    quant_method: str | None = None
    bits: Bits | None = None
    w_bit: Bits | None = None
    group_size: int | None = None
    q_group_size: int | None = None
    desc_act: bool | None = None
    load_in_4bit: bool | None = None
    load_in_8bit: bool | None = None
    config_groups: dict[str, _Group] | None = None


def read_quantization(folder: Path, config: Document) -> Quantization | None:
    """None if the weights are not quantised. Raises ModelLoadError for what makes no sense."""
    if config.get("quantization_config") is not None:
        path = folder / "config.json"
        return _of(path, convert(path, config["quantization_config"], _Settings), None)
    for name, method in OLDER_FILES.items():
        if (folder / name).exists():
            return _of(folder / name, read(folder / name, _Settings), method)
    return None


def logical_weights(tensors: Iterable[Tensor], quantization: Quantization | None) -> int:
    """How many weights the tensors stand for, however they are packed."""
    return sum(_weights_of(tensor, quantization) for tensor in tensors)


def _of(path: Path, settings: _Settings, method: str | None) -> Quantization:
    bitsandbytes = settings.load_in_4bit or settings.load_in_8bit
    method = settings.quant_method or method or ("bitsandbytes" if bitsandbytes else None)
    if method is None:
        raise ModelLoadError(f"{path} describes a quantisation without a quant_method.")
    if settings.config_groups:
        return _of_groups(method, settings.config_groups)
    bits = _first(settings.bits, settings.w_bit, _loaded_bits(settings))
    return Quantization(
        method=method.lower(),
        bits=8 if bits is None and method == "fp8" else bits,
        group_size=_first(settings.group_size, settings.q_group_size),
        desc_act=bool(settings.desc_act),
    )


def _of_groups(method: str, groups: Mapping[str, _Group]) -> Quantization:
    """compressed-tensors: one answer where all groups of layers agree."""
    weights = [group.weights for group in groups.values() if group.weights is not None]
    return Quantization(
        method=method.lower(),
        bits=_common([w.num_bits for w in weights]),
        group_size=_common([w.group_size for w in weights]),
        desc_act=any(w.actorder for w in weights),
    )


def _loaded_bits(settings: _Settings) -> int | None:
    if settings.load_in_4bit:
        return 4
    return 8 if settings.load_in_8bit else None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _common(values: list[int | None]) -> int | None:
    return values[0] if len(set(values)) == 1 else None


def _weights_of(tensor: Tensor, quantization: Quantization | None) -> int:
    leaf = tensor.name.rpartition(".")[2]
    if leaf in HELPERS or ".quant_state." in tensor.name:
        return 0
    bits = None if quantization is None else quantization.bits
    packed = leaf in PACKED or (leaf == "weight" and tensor.dtype == "U8")
    if bits is None or not packed:
        return tensor.elements
    return tensor.elements * WIDTH.get(tensor.dtype, bits) // bits
