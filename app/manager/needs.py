"""The memory that all replicas of a model need together."""

from collections import Counter
from collections.abc import Mapping, Sequence

from codeserve.app.manager.placement import Placement
from codeserve.app.memory.requirement import Requirement, gpu_pool


def needs_of(requirement: Requirement, placements: Sequence[Placement]) -> Mapping[str, int]:
    """Bytes by pool, each replica's on the GPUs of its own place; empty if they are not known."""
    needs: Counter[str] = Counter()
    for placement in placements:
        gpus = placement.gpus or requirement.gpus
        own = {
            gpu_pool(planned): gpu_pool(actual)
            for planned, actual in zip(requirement.gpus, gpus, strict=False)
        }
        for pool, amount in requirement.needs.items():
            needs[own.get(pool, pool)] += amount
    return needs
