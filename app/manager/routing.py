"""Which replica of a model gets a request: the one that has most of the prompt in its cache."""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence

from codeserve.model_specs.segments import Content, Control, Ids, PromptSegments, Segment, Text

BLOCK_CHARACTERS = 256
"""Prompts are compared by blocks of so many characters."""
BLOCKS = 32_768
"""Blocks that are remembered, of all replicas together: eight million characters."""
CLEARLY_BUSIER = 2
"""Requests more than the least busy replica has, beyond which a replica is passed over."""


class PrefixRouter:
    """Remembers which replica has seen which beginnings of prompts.

    A block is known by a hash of itself and all before it, so that one lookup for each block finds
    the longest common beginning. The blocks that were not seen for the longest time are forgotten.
    """

    def __init__(self, replicas: int, blocks: int = BLOCKS) -> None:
        """``blocks``: how many are remembered."""
        self._replicas = replicas
        self._blocks = blocks
        self._holders: OrderedDict[int, int] = OrderedDict()
        """The replicas that have seen a block, as bits, by the block's hash."""
        self._next = 0

    def choose(
        self,
        prompt: PromptSegments,
        salt: str,
        loads: Sequence[int | None],
        stalled: Collection[int] = (),
    ) -> int:
        """The replica for ``prompt``, which is taken to be in its cache from now on.

        ``loads``: requests on each replica; None: it is not ready. Those that are ``stalled`` get
        nothing while another one is ready. Prompts of different ``salt`` share no cache. Raises
        ValueError if no replica is ready.
        """
        ready = {number: load for number, load in enumerate(loads) if load is not None}
        if not ready:
            raise ValueError("no replica is ready")
        ready = {number: ready[number] for number in ready if number not in stalled} or ready
        chain = list(_chain(prompt, salt))
        cached = self._cached(chain)
        least = min(ready.values())
        chosen = min(
            (number for number, load in ready.items() if load <= least + CLEARLY_BUSIER),
            key=lambda number: (
                -cached.get(number, 0),
                ready[number],
                (number - self._next) % self._replicas,
            ),
        )
        self._next = (chosen + 1) % self._replicas
        self._note(chain, chosen)
        return chosen

    def forget(self, replica: int) -> None:
        """Take the cache of ``replica`` to be empty, as that of a worker just started is."""
        left = ((block, holders & ~(1 << replica)) for block, holders in self._holders.items())
        self._holders = OrderedDict((block, holders) for block, holders in left if holders)

    def _cached(self, chain: Sequence[int]) -> Mapping[int, int]:
        """Blocks from the beginning that each replica has seen."""
        cached: dict[int, int] = {}
        alike = (1 << self._replicas) - 1
        for depth, block in enumerate(chain):
            still = alike & self._holders.get(block, 0)
            if still != alike:
                cached |= dict.fromkeys(_numbers(alike & ~still), depth)
                alike = still
            if not alike:
                break
        return cached | dict.fromkeys(_numbers(alike), len(chain))

    def _note(self, chain: Sequence[int], replica: int) -> None:
        """A block is always newer than those that follow it, so that it is forgotten after them."""
        for block in reversed(chain):
            self._holders[block] = self._holders.get(block, 0) | 1 << replica
            self._holders.move_to_end(block)
        while len(self._holders) > self._blocks:
            self._holders.popitem(last=False)


def _numbers(bits: int) -> Iterator[int]:
    return (number for number in range(bits.bit_length()) if bits >> number & 1)


def _chain(prompt: PromptSegments, salt: str) -> Iterator[int]:
    """A hash for each full block of the prompt, of all up to its end."""
    text = "".join(map(_spelling, prompt))
    chained = hash(salt)
    for start in range(0, len(text) - BLOCK_CHARACTERS + 1, BLOCK_CHARACTERS):
        chained = hash((chained, text[start : start + BLOCK_CHARACTERS]))
        yield chained


def _spelling(segment: Segment) -> str:
    """A text that tells a segment from one of another kind."""
    match segment:
        case Control(token):
            return f"\0{token}\0"
        case Text(text) | Content(text):
            return text
        case Ids(ids):
            return " ".join(map(str, ids))
