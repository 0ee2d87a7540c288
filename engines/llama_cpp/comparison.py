"""Compares what takes time, on a machine where other processes may disturb."""

import statistics
import time
from collections.abc import Callable, Sequence

Timer = Callable[[int], float]
"""Computes a step of so many tokens; how long it took in milliseconds."""

LEAST_ROUNDS, MOST_ROUNDS = 2, 5


def fastest(timers: Sequence[Timer], sizes: Sequence[int], seconds: float) -> list[list[float]]:
    """The shortest time of each of ``timers`` for each of ``sizes``, from the smallest on.

    They take turns, so a disturbance hits all. Sizes that would take longer than ``seconds`` are
    left out, for all alike; the smallest is always measured.
    """
    deadline = time.perf_counter() + seconds
    for timer in timers:
        timer(sizes[0])
    best: list[list[float]] = [[] for _ in timers]
    kept: list[int] = []
    budget = seconds * 1000 / LEAST_ROUNDS
    for size in sizes:
        expected = sum(times[-1] for times in best) * size / kept[-1] if kept else 0.0
        if expected > budget:
            break
        for timer, times in zip(timers, best, strict=True):
            times.append(timer(size))
            budget -= times[-1]
        kept.append(size)
    for done in range(1, MOST_ROUNDS):
        if done >= LEAST_ROUNDS and time.perf_counter() > deadline:
            break
        for index, size in enumerate(kept):
            for timer, times in zip(timers, best, strict=True):
                times[index] = min(times[index], timer(size))
    return best


def costs(times: Sequence[Sequence[float]]) -> list[float]:
    """Each candidate's times as a multiple of the first one's: geometric mean over the sizes that
    all of them have."""
    first = times[0]
    return [
        statistics.geometric_mean(own / other for own, other in zip(row, first, strict=False))
        for row in times
    ]


def choose(candidate_costs: Sequence[float], margin: float) -> int:
    """The cheapest candidate, but the first unless that costs more by ``margin``."""
    cheapest = min(range(len(candidate_costs)), key=candidate_costs.__getitem__)
    is_clear = candidate_costs[0] > candidate_costs[cheapest] * (1 + margin)
    return cheapest if is_clear else 0


def curve(timer: Timer, sizes: Sequence[int], seconds: float) -> tuple[list[float], int]:
    """The median time of each of ``sizes``, ascending, and the largest size that was measured.

    Larger ones would have taken longer than ``seconds``; they are taken to cost as much per token
    as the largest measured one.
    """
    deadline = time.perf_counter() + seconds
    samples: list[list[float]] = []
    for size in sizes:
        expected = samples[-1][0] * size / sizes[len(samples) - 1] if samples else 0.0
        if samples and time.perf_counter() + expected / 1000 > deadline:
            break
        samples.append([timer(size)])
    for _ in range(1, MOST_ROUNDS):
        for times, size in zip(samples, sizes, strict=False):
            if time.perf_counter() + times[0] / 1000 < deadline:
                times.append(timer(size))
    medians = [statistics.median(times) for times in samples]
    largest = sizes[len(samples) - 1]
    medians += [medians[-1] * size / largest for size in sizes[len(samples) :]]
    return medians, largest


def in_parts(times: Sequence[tuple[int, float]], part: int) -> list[tuple[int, float]]:
    """The curve where steps are computed in parts of ``part`` tokens, which is a size of it."""
    part_ms = dict(times)[part]
    return [(size, ms if size <= part else part_ms * size / part) for size, ms in times]
