"""What grouping saves where models that do not fit together are asked for in turn.

    .venv/bin/python benchmarks/swapping.py --models 2 --requests 1000 --rate 1 --load-seconds 5

Plays the same requests twice in virtual time: under codeserve's policy, and first come, first
served with the least recently used model going, as a simple server does it. Memory holds one model.
"""

import argparse
import statistics

from codeserve.app.manager.residency import Limits
from codeserve.app.manager.swap_simulation import (
    SimulatedModel,
    SimulatedRequest,
    SwapSimulation,
    Trace,
)


def main() -> None:
    """Play, and print swaps and waits of both and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=int, default=2, help="models, asked for in turn")
    parser.add_argument("--requests", type=int, default=1000, help="requests in all")
    parser.add_argument("--rate", type=float, default=1.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds to serve a request")
    parser.add_argument("--load-seconds", type=float, default=5.0, help="seconds to load a model")
    parser.add_argument("--patience", type=float, default=Limits().patience)
    parser.add_argument("--residence", type=float, default=Limits().residence)
    given = parser.parse_args()
    models = [
        SimulatedModel(id=str(number), needs={"memory": 1}, load_seconds=given.load_seconds)
        for number in range(given.models)
    ]
    requests = [
        SimulatedRequest(
            at=index / given.rate, model=str(index % given.models), seconds=given.seconds
        )
        for index in range(given.requests)
    ]
    grouped = Limits(budget={"memory": 1}, patience=given.patience, residence=given.residence)
    plain = Limits(budget={"memory": 1}, patience=0, residence=0, lull=0)
    ours = SwapSimulation(models, grouped).run(requests)
    theirs = SwapSimulation(models, plain, in_order=True).run(requests)
    rows = [
        ("loads", ours.loads, theirs.loads),
        ("median wait, s", *map(median, (ours, theirs))),
        ("longest wait, s", *map(longest, (ours, theirs))),
        ("all served after, s", ours.ended, theirs.ended),
    ]
    print(f"{'':20}{'grouped':>12}{'in order':>12}{'ratio':>8}")
    for name, mine, other in rows:
        print(f"{name:20}{mine:12.1f}{other:12.1f}{other / mine:8.1f}")


def median(trace: Trace) -> float:
    return statistics.median(trace.waits.values())


def longest(trace: Trace) -> float:
    return max(trace.waits.values())


if __name__ == "__main__":
    main()
