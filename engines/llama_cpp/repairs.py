"""Metadata that a file has wrong, put right while it is loaded."""

from dataclasses import dataclass
from math import isclose
from typing import Any

import llama_cpp

from codeserve.engines.llama_cpp.weights import Weights
from codeserve.model_specs.spec import Variant

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Repair:
    """One key of the metadata and what it is set to."""

    key: str
    found: str | None
    """What the file says; None: nothing."""
    value: Value

    @property
    def sentence(self) -> str:
        """What was wrong and what it is now."""
        was = "missing" if self.found is None else f'"{self.found}"'
        return f'{self.key} was {was}; set to "{self.value}"'


def find(variant: Variant, weights: Weights) -> tuple[Repair, ...]:
    """What ``weights`` must be told to be ``variant``."""
    repairs = []
    for key, value in variant.gguf_exact.items():
        found = weights.metadata(key)
        if found is None or not _same(found, value):
            repairs.append(Repair(key, found, value))
    for key, value in variant.gguf_default.items():
        if weights.metadata(key) is None:
            repairs.append(Repair(key, None, value))
    return tuple(repairs)


def overrides(repairs: tuple[Repair, ...]) -> Any:
    """The ``llama_model_kv_override`` array, ended by an empty key."""
    array = (llama_cpp.llama_model_kv_override * (len(repairs) + 1))()
    for override, repair in zip(array, repairs, strict=False):
        override.key = repair.key.encode()
        match repair.value:
            case bool(flag):
                override.tag = llama_cpp.LLAMA_KV_OVERRIDE_TYPE_BOOL
                override.value.val_bool = flag
            case int(number):
                override.tag = llama_cpp.LLAMA_KV_OVERRIDE_TYPE_INT
                override.value.val_i64 = number
            case float(number):
                override.tag = llama_cpp.LLAMA_KV_OVERRIDE_TYPE_FLOAT
                override.value.val_f64 = number
            case str(text):
                override.tag = llama_cpp.LLAMA_KV_OVERRIDE_TYPE_STR
                override.value.val_str = text.encode()
    return array


def _same(found: str, value: Value) -> bool:
    match value:
        case bool(flag):
            return found == str(flag).lower()
        case int(number) | float(number):
            return isclose(float(found), number, rel_tol=1e-6, abs_tol=1e-6)
        case text:
            return found == text
