"""From records of requests to figures. Pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from codeserve.app.bench.record import Outcome, Record

Figures = Mapping[str, float]
"""Name of a figure to its value; a figure that could not be measured is absent."""


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of ``values`` lie, interpolated between the two
    nearest. Raises ValueError if there are no values."""
    if not values:
        raise ValueError("a percentile needs at least one value")
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def percentiles(name: str, values: Sequence[float], *hundredths: int) -> Figures:
    """``name_p50`` and its like for each of ``hundredths``; nothing without values."""
    return {f"{name}_p{n}": percentile(values, n / 100) for n in hundredths if values}


def summary(records: Sequence[Record]) -> Figures:
    """The figures that every workload has: of requests that were completed, all times in seconds.

    ``total_rate`` counts the tokens of all of them from the first sending to the last end.
    """
    completed = [record for record in records if record.outcome is Outcome.COMPLETED]
    if not completed:
        return {}
    wall = max(record.ended for record in completed) - min(record.sent for record in completed)
    rates = [record.decode_rate for record in completed if record.decode_rate is not None]
    return {
        **percentiles("ttft", ttfts(completed), 50, 95),
        **percentiles("gap", [gap for record in completed for gap in record.gaps], 50, 99),
        **({"stream_rate": median(rates)} if rates else {}),
        "total_rate": sum(record.output_tokens for record in completed) / wall,
        "all_done": wall,
        **_token_counts(completed),
    }


def ttfts(records: Iterable[Record]) -> list[float]:
    """The times to the first text of those that have one."""
    return [record.ttft for record in records if record.ttft is not None]


def medians(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure over the rounds that have it."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return {name: median(figures[name] for figures in rounds if name in figures) for name in names}


def copied_share(text: str, file: str) -> float:
    """The share of the lines of ``text`` that are lines of ``file``. Blank lines do not count, nor
    does the last one, which may be cut off; 0 if there are no others."""
    lines = [line for line in text.splitlines()[:-1] if line.strip()]
    known = set(file.splitlines())
    return sum(line in known for line in lines) / len(lines) if lines else 0.0


def _token_counts(records: Sequence[Record]) -> Figures:
    counts: dict[str, float] = {"output_tokens": sum(record.output_tokens for record in records)}
    prompt = [record.prompt_tokens for record in records if record.prompt_tokens is not None]
    cached = [record.cached_tokens for record in records if record.cached_tokens is not None]
    if prompt:
        counts["prompt_tokens"] = sum(prompt)
    if cached:
        counts["cached_tokens"] = sum(cached)
    return counts
