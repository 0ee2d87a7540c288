import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.app.parity.comparison import (
    compare,
    least_divergence,
    prompt_difference,
    token_name,
)
from codeserve.app.parity.continuation import Continuation
from codeserve.engines.types import NamedToken, PromptReport, TokenLogprobs

Scores = dict[int, float]


def token(chosen: int, probabilities: Scores) -> TokenLogprobs:
    """``chosen``, and the other tokens of ``probabilities`` as its alternatives."""
    named = {
        i: NamedToken(i, f"t{i}".encode(), math.log(share)) for i, share in probabilities.items()
    }
    ordered = sorted(named.values(), key=lambda one: -one.logprob)
    return TokenLogprobs(named[chosen], ordered.index(named[chosen]) + 1, tuple(ordered))


def report(*ids: int) -> PromptReport:
    return PromptReport(ids, "", tuple(f"t{i}".encode() for i in ids))


def continuation(
    tokens: Sequence[TokenLogprobs], reading: Sequence[TokenLogprobs] = ()
) -> Continuation:
    return Continuation(
        prompt=report(0), text="", tokens=tuple(tokens), reading=tuple(reading or tokens)
    )


def test_the_margin_is_what_each_model_prefers_its_own_token_by() -> None:
    ours = [token(1, {1: 0.9, 2: 0.1}), token(2, {2: 0.6, 3: 0.4})]
    theirs = [token(1, {1: 0.8, 2: 0.2}), token(3, {2: 0.25, 3: 0.75})]
    read = [theirs[0], token(2, {2: 0.25, 3: 0.75})]
    parting = compare(continuation(ours), continuation(theirs, read)).parting

    assert parting is not None
    assert (parting.position, parting.before) == (1, ("t1",))
    assert (parting.reference_goes_on, parting.model_goes_on) == (("t2",), ("t3",))
    assert parting.margin == pytest.approx(math.log(0.6 / 0.4) + math.log(0.75 / 0.25))
    assert not parting.is_near_tie(1.5)
    assert parting.is_near_tie(1.51)


def test_a_token_outside_the_alternatives_is_at_most_as_likely_as_the_last_one() -> None:
    ours = [token(1, {1: 0.6, 2: 0.3})]
    theirs = [token(9, {9: 0.5, 8: 0.4})]
    read = [token(1, {1: 0.01, 9: 0.5, 8: 0.4})]
    parting = compare(continuation(ours), continuation(theirs, read)).parting

    assert parting is not None
    assert parting.choices is not None
    first, second = parting.choices
    assert first.model.logprob == pytest.approx(math.log(0.01))
    assert not first.model.at_most
    assert second.reference.at_most
    assert second.reference.logprob == pytest.approx(math.log(0.3))
    assert parting.is_bound
    assert not parting.is_near_tie(99.0)


def test_a_text_that_ends_where_the_other_goes_on_parts_there() -> None:
    first, second = token(1, {1: 0.9}), token(2, {2: 0.9})
    ended, longer = [first], [first, second]
    for reference, model in ((ended, longer), (longer, ended)):
        parting = compare(continuation(reference), continuation(model, reference)).parting
        assert parting is not None
        assert (parting.position, parting.choices, parting.margin) == (1, None, None)


def test_a_prompt_that_becomes_other_ids_is_told_where() -> None:
    assert prompt_difference(report(1, 2), report(1, 2)) is None
    other = prompt_difference(report(1, 2), report(1, 3, 4))
    assert other is not None
    assert (other.position, other.reference_id, other.model_id) == (1, 2, 3)
    longer = prompt_difference(report(1), report(1, 3))
    assert longer is not None
    assert (longer.position, longer.reference_id, longer.model_token) == (1, None, "t3")


def test_what_cannot_be_counts_as_a_number() -> None:
    impossible = TokenLogprobs(NamedToken(1, b"a", -math.inf), 9, (NamedToken(2, b"b", 0.0),))
    compared = compare(continuation([token(1, {1: 1.0})]), continuation([impossible]))
    assert compared.differences == (-9999.0,)
    assert math.isfinite(compared.divergences[0])


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_the_least_divergence_is_no_more_than_the_divergence(seed: int, told: int) -> None:
    random = np.random.default_rng(seed)
    ours, theirs = random.dirichlet(np.full(12, 0.3), 2) + 1e-9
    ours, theirs = ours / ours.sum(), theirs / theirs.sum()
    whole = float((ours * np.log(ours / theirs)).sum())
    chosen = int(ours.argmax())

    def best(shares: np.ndarray) -> TokenLogprobs:
        ids = [*map(int, np.argsort(-shares)[:told]), chosen]
        return token(chosen, {i: float(shares[i]) for i in ids})

    least = least_divergence(best(ours), best(theirs))
    assert 0 <= least <= whole + 1e-9
    if told == 12:
        assert least == pytest.approx(whole, abs=1e-9)


def test_part_of_a_character_is_named_by_its_bytes() -> None:
    assert token_name("ü".encode()) == "ü"
    assert token_name(b"\xe2\x98") == r"bytes:\xe2\x98"
