from collections.abc import Mapping
from collections.abc import Sequence as TokenIds

import pytest

from codeserve.engines.batching.drafting import (
    MAX_DRAFT,
    EitherDrafter,
    NgramDrafter,
    Prospect,
    choose_lengths,
)
from codeserve.engines.batching.outcome import Outcome
from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.batching.step_costs import StepCosts
from codeserve.engines.types import GenerationRequest

FREE_UP_TO_8 = StepCosts([(1, 1.0), (8, 1.05), (9, 4.0), (64, 40.0)])
LINEAR = StepCosts([(1, 1.0), (64, 64.0)])


def a_sequence(*prompt: int, max_tokens: int = 100) -> Sequence:
    return Sequence(
        GenerationRequest(id="r", prompt_ids=prompt, max_tokens=max_tokens, stop_ids=frozenset())
    )


def say(drafter: NgramDrafter, sequence: Sequence, *tokens: int) -> None:
    """Let ``tokens`` be sampled one by one."""
    for token in tokens:
        drafter.learn(sequence, sequence.take(Outcome([token])).token_ids)


def probability(drafter: NgramDrafter, sequence: Sequence) -> float:
    prospect = drafter.prospect(sequence)
    return 0.0 if prospect is None else prospect.probability


def test_what_followed_the_same_tokens_before_is_guessed() -> None:
    drafter, sequence = NgramDrafter(), a_sequence(1, 2, 3, 4, 5, 9, 1, 2)
    say(drafter, sequence, 3)
    assert drafter.draft({sequence: 3}) == {sequence: [4, 5, 9]}


def test_the_latest_occurrence_counts() -> None:
    drafter, sequence = NgramDrafter(), a_sequence(1, 2, 3, 7, 0, 1, 2, 3, 8, 0, 1, 2)
    say(drafter, sequence, 3)
    assert drafter.draft({sequence: 2}) == {sequence: [8, 0]}


def test_nothing_is_guessed_where_nothing_repeats() -> None:
    drafter, sequence = NgramDrafter(), a_sequence(1, 2, 3, 4)
    say(drafter, sequence, 5)
    assert drafter.prospect(sequence) is None


def test_a_repetition_is_guessed_beyond_its_first_period() -> None:
    drafter, sequence = NgramDrafter(), a_sequence(5, 1, 2, 1, 2, 1)
    say(drafter, sequence, 2)
    assert drafter.draft({sequence: 5}) == {sequence: [1, 2, 1, 2, 1]}


def test_a_replaced_token_does_not_lose_the_place() -> None:
    drafter, sequence = NgramDrafter(), a_sequence(*range(10, 30), 10, 11)
    say(drafter, sequence, 12, 13, 14, 15, 99)
    assert drafter.draft({sequence: 3}) == {sequence: [17, 18, 19]}


def test_trust_grows_with_guesses_that_were_right_and_goes_with_wrong_ones() -> None:
    drafter, sequence = NgramDrafter(), a_sequence(*range(10, 40), 10, 11)
    say(drafter, sequence, 12)
    fresh = probability(drafter, sequence)
    say(drafter, sequence, 13, 14, 15, 16, 17, 18)
    sure = probability(drafter, sequence)
    say(drafter, sequence, 0)
    assert fresh < 0.5 < 0.8 < sure
    assert probability(drafter, sequence) < 0.5


def test_no_more_is_guessed_than_may_be_generated() -> None:
    drafter, sequence = NgramDrafter(), a_sequence(1, 2, 3, 4, 1, 2, max_tokens=3)
    say(drafter, sequence, 3)
    prospect = drafter.prospect(sequence)
    assert prospect is not None
    assert prospect.limit == 1


def test_a_sure_guess_is_verified_as_far_as_it_is_free() -> None:
    sequence = a_sequence(1)
    prospects = [Prospect(sequence, 0.95, MAX_DRAFT)]
    assert choose_lengths(prospects, 1, 64, FREE_UP_TO_8) == {sequence: 7}


@pytest.mark.parametrize("chance", [0.3, 0.9])
def test_nothing_is_verified_where_a_token_more_costs_a_step_more(chance: float) -> None:
    prospects = [Prospect(a_sequence(1), chance, MAX_DRAFT)]
    assert choose_lengths(prospects, 1, 64, LINEAR) == {}


def test_a_wide_batch_leaves_less_room_for_guesses() -> None:
    sequences = [a_sequence(1) for _ in range(6)]
    prospects = [Prospect(sequence, 0.9, MAX_DRAFT) for sequence in sequences]
    assert sum(choose_lengths(prospects, 6, 64, FREE_UP_TO_8).values()) == 2


def test_the_surest_sequence_comes_first() -> None:
    doubtful, sure = a_sequence(1), a_sequence(1)
    prospects = [Prospect(doubtful, 0.5, 4), Prospect(sure, 0.95, 4)]
    lengths = choose_lengths(prospects, 2, 4, FREE_UP_TO_8)
    assert lengths == {sure: 4}


def test_guesses_that_take_long_to_make_are_not_made() -> None:
    sequence = a_sequence(1)
    cheap, dear = Prospect(sequence, 0.9, 4, 0.01), Prospect(sequence, 0.9, 4, 2.0)
    assert choose_lengths([cheap], 1, 64, FREE_UP_TO_8) == {sequence: 4}
    assert choose_lengths([dear], 1, 64, FREE_UP_TO_8) == {}


class Oracle:
    """Always guesses one token, with a given trust."""

    def __init__(self, token: int, probability: float) -> None:
        self._token, self._probability = token, probability

    def prospect(self, sequence: Sequence) -> Prospect | None:
        return Prospect(sequence, self._probability, 2)

    def draft(self, counts: Mapping[Sequence, int]) -> Mapping[Sequence, list[int]]:
        return {sequence: [self._token] * count for sequence, count in counts.items()}

    def learn(self, sequence: Sequence, sampled: TokenIds[int]) -> None:
        self._probability = 0.0 if self._token != sampled[0] else 1.0

    def forget(self, sequence: Sequence) -> None:
        pass


def test_of_two_drafters_the_surer_one_guesses() -> None:
    sequence = a_sequence(1)
    either = EitherDrafter(Oracle(5, 0.4), Oracle(6, 0.6))
    either.prospect(sequence)
    assert either.draft({sequence: 2}) == {sequence: [6, 6]}
    either.learn(sequence, [5])
    either.prospect(sequence)
    assert either.draft({sequence: 1}) == {sequence: [5]}
