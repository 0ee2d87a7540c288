"""What each engine can load: the one table behind the choice of an engine, and behind errors."""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from codeserve.engines.types import LoadQuantization
from codeserve.model_specs.spec import ModelFormat


class Weights(StrEnum):
    """The kinds of weights that engines tell apart."""

    GGUF = "a GGUF file"
    FULL = "unquantised weights"
    FOUR_BIT = "4-bit quantisation while loading"
    EIGHT_BIT = "8-bit quantisation while loading"
    GPTQ = "GPTQ weights"
    AWQ = "AWQ weights"
    OTHER = "weights of another quantisation"


class Ability(msgspec.Struct, frozen=True):
    """That an engine can load a kind of weights."""

    engine: str
    needs_gpu: bool = False


ABILITIES: Mapping[Weights, tuple[Ability, ...]] = {
    Weights.GGUF: (Ability("llama.cpp"),),
    Weights.FULL: (Ability("vllm"), Ability("transformers")),
    Weights.FOUR_BIT: (Ability("transformers"), Ability("vllm", needs_gpu=True)),
    Weights.EIGHT_BIT: (Ability("transformers"),),
    Weights.GPTQ: (Ability("vllm"), Ability("transformers")),
    Weights.AWQ: (Ability("vllm"), Ability("transformers")),
    Weights.OTHER: (Ability("vllm"), Ability("transformers")),
}
"""Engines by what they can load, best first."""

BUILT_IN = frozenset(ability.engine for able in ABILITIES.values() for ability in able)
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
            return Weights.GPTQ
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
    method = _quantization_method(path)
    if method is not None and loading is not None:
        raise ValueError(
            f"{path} is quantised already ({method}); drop quantization = {str(loading)!r}."
        )
    if method is not None:
        return _BY_METHOD.get(method, Weights.OTHER)
    return Weights.FULL if loading is None else _BY_LOADING[loading]


def _quantization_method(folder: Path) -> str | None:
    """How the weights are quantised; None: they are not, or ``config.json`` cannot be read, of
    which the engine will say more."""
    try:
        config: Any = json.loads((folder / "config.json").read_bytes())
        return str(config["quantization_config"]["quant_method"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
