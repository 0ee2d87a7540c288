"""Why vLLM could not be started, in one line."""

import re
from collections.abc import Iterable, Sequence

from codeserve.engines.errors import ModelLoadError

_ERROR = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Interrupt))(?:: (.+))?$")
"""The last line of a traceback."""
_MEMORY = re.compile(
    r"out of memory|MemoryError|Cannot allocate memory|can't allocate memory|"
    r"No available memory|memory utilization|available memory|larger than the available KV cache",
    re.IGNORECASE,
)
_EFFECTS = ("Engine core initialization failed", "WorkerProc initialization failed")
"""Errors that only say that there was another one."""
_VALIDATION = re.compile(r"\d+ validation errors? for ")
"""How pydantic begins a message; what is wrong comes in the next line."""
_KILLED = re.compile(r"Failed core proc\(s\): \{.*: -9\b")
LOWER = (
    "Lower context_length, max_concurrency or gpu_memory_utilization, choose smaller or quantised "
    "weights, or spread them over several GPUs by tensor_parallel_size."
)
LENGTH = 500


def load_error(error: BaseException, output: Iterable[str]) -> ModelLoadError:
    """The error for ``error``, which came while vLLM's processes wrote ``output``."""
    cause = _first_error(output) or _last_of(error)
    if _MEMORY.search(cause) or _KILLED.search(str(error)):
        return ModelLoadError(
            f"There is not enough memory for this model on vLLM: {cause} {LOWER}",
            code="out_of_memory",
        )
    return ModelLoadError(f"vLLM could not load the model: {cause}")


def last_error(error: BaseException, output: Sequence[str]) -> str:
    """Why vLLM's running processes ended."""
    return _first_error(reversed(output)) or _last_of(error)


def _first_error(output: Iterable[str]) -> str | None:
    """Later errors are mostly effects of the first."""
    for line in output:
        if (match := _ERROR.match(line.strip())) and match[2] and not _is_effect(match[2]):
            return _sentence(match[2], match[1])
    return None


def _is_effect(message: str) -> bool:
    return message.startswith(_EFFECTS)


def _last_of(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines() or [""]
    if _VALIDATION.match(lines[0]) and len(lines) > 1:
        lines = [line.strip().removeprefix("Value error, ") for line in lines[1:]]
    return _sentence(lines[0].partition(" [type=")[0], type(error).__name__)


def _sentence(message: str, kind: str) -> str:
    text = message.strip().rstrip(".")[:LENGTH] or kind
    return f"{text}."
