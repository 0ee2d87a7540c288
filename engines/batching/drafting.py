"""Guesses of the tokens that come next, to be verified in one step.

A step of a few tokens costs little more than a step of one. So tokens that are likely to come are
computed along with the last one; the sampler chooses at each position from the verified logits,
and a guess counts only if it chooses the same token. The distribution of the output is that of
sampling without drafts (https://arxiv.org/abs/2211.17192, with a deterministic draft).
"""

from collections.abc import Mapping
from collections.abc import Sequence as TokenIds
from dataclasses import dataclass
from typing import Protocol

from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.batching.step_costs import StepCosts

MAX_DRAFT = 15
"""Guesses for one sequence in one step."""

LEAST_CHANCE = 0.05
"""A guess that is less likely to count is not worth considering."""

NGRAM = 3
"""Tokens that must have occurred before in the same order for their successor to be a guess."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What could be guessed for one sequence."""

    sequence: Sequence
    probability: float
    """That a guess is right, given that those before it were."""
    limit: int
    """The most guesses that there are."""
    seconds_each: float = 0.0
    """What making one guess takes."""


class Drafter(Protocol):
    """Makes guesses for running sequences."""

    def prospect(self, sequence: Sequence) -> Prospect | None:
        """What could be guessed now; None if nothing could."""

    def draft(self, counts: Mapping[Sequence, int]) -> Mapping[Sequence, list[int]]:
        """At most so many guesses for each sequence."""

    def learn(self, sequence: Sequence, sampled: TokenIds[int]) -> None:
        """Take note of what was sampled for ``sequence``, which has it already."""

    def forget(self, sequence: Sequence) -> None:
        """``sequence`` has ended."""


def choose_lengths(
    prospects: TokenIds[Prospect], decoding: int, budget: int, costs: StepCosts
) -> dict[Sequence, int]:
    """How many guesses to verify for each sequence, so that a second yields the most tokens.

    ``decoding``: sequences that get one token each in any case. ``budget``: the most guesses in
    all. Guesses are taken in the order of the probability that they are reached and right, as
    long as expected tokens per second reach their maximum.
    """
    chances = sorted(
        (
            (prospect.probability**depth, -depth, index)
            for index, prospect in enumerate(prospects)
            for depth in range(1, prospect.limit + 1)
            if prospect.probability**depth >= LEAST_CHANCE
        ),
        reverse=True,
    )[:budget]
    expected, best = float(decoding), decoding / costs.seconds(decoding)
    count, making = 0, 0.0
    for taken, (chance, _, index) in enumerate(chances, start=1):
        expected += chance
        making += prospects[index].seconds_each
        rate = expected / (costs.seconds(decoding + taken) + making)
        if rate > best:
            best, count = rate, taken
    lengths: dict[Sequence, int] = {}
    for _, _, index in chances[:count]:
        sequence = prospects[index].sequence
        lengths[sequence] = lengths.get(sequence, 0) + 1
    return lengths


class EitherDrafter:
    """Two drafters, of which the one that is surer of itself guesses for each sequence."""

    def __init__(self, first: Drafter, second: Drafter) -> None:
        self._first, self._second = first, second
        self._chosen: dict[Sequence, Drafter] = {}

    def prospect(self, sequence: Sequence) -> Prospect | None:
        """The better prospect."""
        first, second = self._first.prospect(sequence), self._second.prospect(sequence)
        if second is None or (first is not None and first.probability >= second.probability):
            self._chosen[sequence] = self._first
            return first
        self._chosen[sequence] = self._second
        return second

    def draft(self, counts: Mapping[Sequence, int]) -> Mapping[Sequence, list[int]]:
        """The guesses of whichever had the better prospect."""
        drafts: dict[Sequence, list[int]] = {}
        for drafter in (self._first, self._second):
            mine = {s: count for s, count in counts.items() if self._chosen[s] is drafter}
            if mine:
                drafts.update(drafter.draft(mine))
        return drafts

    def learn(self, sequence: Sequence, sampled: TokenIds[int]) -> None:
        """Tell both."""
        self._first.learn(sequence, sampled)
        self._second.learn(sequence, sampled)

    def forget(self, sequence: Sequence) -> None:
        """Tell both."""
        self._chosen.pop(sequence, None)
        self._first.forget(sequence)
        self._second.forget(sequence)


class NgramDrafter:
    """Guesses that what followed the last tokens before follows them again.

    It needs no model (prompt lookup, https://arxiv.org/abs/2304.04487). Each sampled token is
    compared with what would have been guessed, whether or not it was verified in a step: so it is
    known at no cost when guessing pays.
    """

    def __init__(self) -> None:
        self._trails: dict[Sequence, Trail] = {}

    def prospect(self, sequence: Sequence) -> Prospect | None:
        """What followed last time, up to the present."""
        trail = self._trail(sequence)
        limit = min(MAX_DRAFT, sequence.remaining - 1)
        if not trail.is_known or limit < 1:
            return None
        return Prospect(sequence, trail.probability, limit)

    def draft(self, counts: Mapping[Sequence, int]) -> Mapping[Sequence, list[int]]:
        """The tokens that followed last time."""
        return {sequence: self._trail(sequence).guess(n) for sequence, n in counts.items()}

    def learn(self, sequence: Sequence, sampled: TokenIds[int]) -> None:
        """Compare ``sampled`` with what would have been guessed."""
        trail = self._trails.get(sequence)
        if trail is None:
            self._trail(sequence)
            return
        for end in range(len(sequence.token_ids) - len(sampled) + 1, len(sequence.token_ids) + 1):
            trail.advance(end)

    def forget(self, sequence: Sequence) -> None:
        """``sequence`` has ended."""
        self._trails.pop(sequence, None)

    def _trail(self, sequence: Sequence) -> "Trail":
        trail = self._trails.get(sequence)
        if trail is None:
            trail = self._trails[sequence] = Trail(sequence.token_ids)
        return trail


class Trail:
    """The place in a sequence's own past that its present repeats."""

    PRIOR, WEIGHT = 0.4, 2.0
    """Share of guesses right after a fresh match: assumed at first, and counted as so many."""
    RATE = 0.1

    def __init__(self, token_ids: list[int]) -> None:
        """``token_ids`` is the sequence's own list, which grows."""
        self._token_ids = token_ids
        self._last_seen: dict[tuple[int, ...], int] = {}
        self._fresh = self.PRIOR
        self._run = 0
        for end in range(NGRAM, len(token_ids)):
            self._remember(end)
        self._cursor = self._remember(len(token_ids))

    @property
    def is_known(self) -> bool:
        """Whether there is anything to guess from."""
        return self._cursor is not None

    @property
    def probability(self) -> float:
        """That the next guess is right: the more have been right in a row, the likelier."""
        return (self._run + self.WEIGHT * self._fresh) / (self._run + self.WEIGHT)

    def guess(self, count: int) -> list[int]:
        """The next ``count`` tokens; what ends in the present repeats itself."""
        assert self._cursor is not None
        guesses = self._token_ids[self._cursor : self._cursor + count]
        period = len(guesses)
        while len(guesses) < count:
            guesses.append(guesses[-period])
        return guesses

    def advance(self, end: int) -> None:
        """Go on to a sequence of ``end`` tokens, one more than before."""
        cursor, match = self._cursor, self._remember(end)
        if cursor is None:
            self._cursor = match
            return
        right = self._token_ids[cursor] == self._token_ids[end - 1]
        if right:
            self._cursor = cursor + 1
        elif match is None and self._run >= NGRAM:
            self._cursor = cursor + 1  # one token was replaced by another
        else:
            self._cursor = match
        if self._run == 0:
            self._fresh += self.RATE * (right - self._fresh)
        self._run = self._run + 1 if right else 0

    def _remember(self, end: int) -> int | None:
        """Note that the last tokens end at ``end``; where they ended before."""
        if end < NGRAM:
            return None
        key = tuple(self._token_ids[end - NGRAM : end])
        before = self._last_seen.get(key)
        self._last_seen[key] = end
        return before
