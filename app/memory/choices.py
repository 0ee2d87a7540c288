"""What else could be loaded: the same model with another quantisation, context or concurrency."""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from codeserve.app.manager.resolution import Resolution
from codeserve.app.model_settings import UNQUANTIZED
from codeserve.engines.memory import SHORTEST_DEFAULT, STEP
from codeserve.engines.types import LoadQuantization
from codeserve.model_specs.spec import ModelFormat

Fits = Callable[[Resolution], bool]


def with_settings(resolution: Resolution, **changes: Any) -> Resolution:
    """``resolution`` with other settings."""
    return replace(resolution, settings=resolution.settings.model_copy(update=changes))


def quantizations(resolution: Resolution) -> Iterator[tuple[str, Resolution]]:
    """Every quantisation of the same spec that the engine can load, by name; none for weights that
    are the operator's own."""
    selection = resolution.selection
    if selection is None:
        return
    for name in selection.spec.quantizations:
        loading = None
        if selection.spec.model_format is ModelFormat.PYTORCH and name != UNQUANTIZED:
            loading = LoadQuantization(name)
        if loading is not None and resolution.choice.engine == "vllm":
            continue
        other = with_settings(resolution, quantization=name)
        chosen = replace(selection, quantization=name)
        yield name, replace(other, selection=chosen, quantization=loading)


def longest_context(resolution: Resolution, most: int, fits: Fits) -> int | None:
    """The most tokens per request, at most ``most``, that ``fits``; None: not even 512."""
    steps = _most(
        most // STEP, lambda count: fits(with_settings(resolution, context_length=count * STEP))
    )
    return steps * STEP if steps * STEP >= min(SHORTEST_DEFAULT, most) and steps else None


def most_requests(resolution: Resolution, fits: Fits) -> int | None:
    """The most requests at once, fewer than asked for, that ``fits``; None: not even one."""
    asked = resolution.settings.max_concurrency - 1
    return _most(asked, lambda n: fits(with_settings(resolution, max_concurrency=n))) or None


def _most(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number from 0 to ``most`` that ``fits``, where each smaller one does, too."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low
