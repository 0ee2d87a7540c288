"""What each engine can load: the one table behind the choice of an engine, and behind errors."""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from codeserve.engines.types import LoadQuantization
from codeserve.model_specs.spec import ModelFormat


class Weights(StrEnum):
    """The kinds of weights that engines tell apart."""

    GGUF = "a GGUF file"
    FULL = "unquantised weights"
    FOUR_BIT = "4-bit quantisation while loading"
    EIGHT_BIT = "8-bit quantisation while loading"
    GPTQ = "GPTQ weights"
    ORDERED_GPTQ = "GPTQ weights in activation order (desc_act)"
    UNREAD_GPTQ = "GPTQ weights that are yet to be fetched"
    """They may be in activation order, as most published ones are."""
    AWQ = "AWQ weights"
    OTHER = "weights of another quantisation"


ABILITIES: Mapping[Weights, tuple[str, ...]] = {
    Weights.GGUF: ("llama.cpp",),
    Weights.FULL: ("vllm", "transformers"),
    Weights.FOUR_BIT: ("transformers",),
    Weights.EIGHT_BIT: ("transformers",),
    Weights.GPTQ: ("vllm", "transformers"),
    Weights.ORDERED_GPTQ: ("transformers",),
    Weights.UNREAD_GPTQ: ("transformers", "vllm"),
    Weights.AWQ: ("vllm", "transformers"),
    Weights.OTHER: ("vllm", "transformers"),
}
"""Engines by what they can load, best first. vLLM 0.32 has no bitsandbytes, and no activation order
in groups (its ``gptq_utils.py``)."""

BUILT_IN = frozenset(engine for able in ABILITIES.values() for engine in able)
"""The engines that the table speaks of; nothing is known against others."""

_BY_METHOD = {"gptq": Weights.GPTQ, "awq": Weights.AWQ}
_BY_LOADING = {
    LoadQuantization.FOUR_BIT: Weights.FOUR_BIT,
    LoadQuantization.EIGHT_BIT: Weights.EIGHT_BIT,
}


def of_spec(model_format: ModelFormat, loading: LoadQuantization | None) -> Weights:
    """The kind of a catalogue's weights, quantised while ``loading`` or not."""
    match model_format:
        case ModelFormat.GGUF:
            return Weights.GGUF
        case ModelFormat.GPTQ:
            return Weights.UNREAD_GPTQ
        case ModelFormat.AWQ:
            return Weights.AWQ
        case ModelFormat.PYTORCH:
            return Weights.FULL if loading is None else _BY_LOADING[loading]


def of_path(path: Path, loading: LoadQuantization | None) -> Weights:
    """The kind of a user's own weights, as far as their names and ``config.json`` tell.

    Raises ValueError where weights that are quantised already are to be quantised.
    """
    if path.suffix.lower() == ".gguf":
        return Weights.GGUF
    settings = _quantization(path)
    method = None if settings is None else str(settings.get("quant_method"))
    if method is not None and loading is not None:
        raise ValueError(
            f"{path} is quantised already ({method}); drop quantization = {str(loading)!r}."
        )
    if method == "gptq" and settings is not None and settings.get("desc_act"):
        return Weights.GPTQ if settings.get("group_size") == -1 else Weights.ORDERED_GPTQ
    if method is not None:
        return _BY_METHOD.get(method, Weights.OTHER)
    return Weights.FULL if loading is None else _BY_LOADING[loading]


def _quantization(folder: Path) -> Mapping[str, Any] | None:
    """How the weights are quantised; None: they are not, or ``config.json`` cannot be read, of
    which the engine will say more."""
    try:
        settings = json.loads((folder / "config.json").read_bytes())["quantization_config"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return settings if isinstance(settings, dict) else None
