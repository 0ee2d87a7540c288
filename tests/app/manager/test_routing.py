from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.app.manager.routing import BLOCK_CHARACTERS, CLEARLY_BUSIER, PrefixRouter
from codeserve.model_specs.segments import Content, Control, Ids, PromptSegments, Text

IDLE = (0, 0, 0)


def prompt(*blocks: str) -> PromptSegments:
    """A prompt of whole blocks, each full of one letter."""
    text = "".join(block * BLOCK_CHARACTERS for block in blocks)
    return (Control("<s>"), Text(text + "." * BLOCK_CHARACTERS))


def test_a_prompt_goes_where_its_beginning_is_cached() -> None:
    router = PrefixRouter(3)
    first = router.choose(prompt("a", "b"), "", IDLE)
    other = router.choose(prompt("x", "y"), "", IDLE)
    assert first != other
    for _ in range(3):
        assert router.choose(prompt("a", "b", "c"), "", IDLE) == first
        assert router.choose(prompt("x", "y", "z"), "", IDLE) == other


def test_the_longest_beginning_wins() -> None:
    router = PrefixRouter(2)
    short = router.choose(prompt("a"), "", (0, 0))
    long = router.choose(prompt("a", "b", "c"), "", (CLEARLY_BUSIER + 1, 0))
    assert (short, long) == (0, 1)
    assert router.choose(prompt("a", "b", "d"), "", (0, 0)) == long


def test_a_clearly_busier_replica_is_passed_over() -> None:
    router = PrefixRouter(2)
    assert router.choose(prompt("a"), "", (0, 0)) == 0
    assert router.choose(prompt("a"), "", (CLEARLY_BUSIER, 0)) == 0
    assert router.choose(prompt("a"), "", (CLEARLY_BUSIER + 1, 0)) == 1


def test_unknown_prompts_go_to_the_least_busy_and_then_round_robin() -> None:
    router = PrefixRouter(3)
    assert router.choose(prompt("a"), "", (1, 0, 1)) == 1
    assert [router.choose(prompt(name), "", IDLE) for name in "bcde"] == [2, 0, 1, 2]


def test_a_replica_that_is_not_ready_gets_nothing() -> None:
    router = PrefixRouter(2)
    assert router.choose(prompt("a"), "", (0, None)) == 0
    assert router.choose(prompt("a"), "", (None, 5)) == 1
    with pytest.raises(ValueError, match="no replica is ready"):
        router.choose(prompt("a"), "", (None, None))


def test_a_replica_that_stands_still_gets_nothing_while_another_one_works() -> None:
    router = PrefixRouter(3)
    assert router.choose(prompt("a"), "", IDLE) == 0
    assert router.choose(prompt("a"), "", (0, 9, 9), stalled=[0]) in (1, 2)
    assert router.choose(prompt("b"), "", (0, 7, None), stalled=[0]) == 1
    assert router.choose(prompt("c"), "", (0, None, 5), stalled=[0]) == 2


def test_replicas_that_all_stand_still_are_chosen_from_as_ever() -> None:
    router = PrefixRouter(2)
    assert router.choose(prompt("a"), "", (0, 0), stalled=[0, 1]) == 0
    assert router.choose(prompt("a"), "", (1, 0), stalled=[0, 1]) == 0
    assert router.choose(prompt("b"), "", (1, None), stalled=[0]) == 0


def test_a_new_worker_has_an_empty_cache() -> None:
    router = PrefixRouter(2)
    router.choose(prompt("a", "b"), "", (0, None))
    router.choose(prompt("a"), "", (None, 0))
    router.forget(0)
    assert router.choose(prompt("a", "b"), "", (0, 0)) == 1


def test_requests_of_another_salt_share_no_cache() -> None:
    router = PrefixRouter(2)
    router.choose(prompt("a"), "mine", (None, 0))
    assert router.choose(prompt("a"), "yours", (0, 0)) == 0
    assert router.choose(prompt("a"), "mine", (0, 0)) == 1


def test_a_control_token_is_not_the_text_that_spells_it() -> None:
    router = PrefixRouter(2)
    rest = Content("a" * 2 * BLOCK_CHARACTERS)
    router.choose((Control("<s>"), rest), "", (None, 0))
    assert router.choose((Content("<s>"), rest), "", (0, 0)) == 0
    assert router.choose((Control("<s>"), rest), "", (0, 0)) == 1


def test_token_ids_are_known_again() -> None:
    router = PrefixRouter(2)
    ids = tuple(range(1000))
    router.choose((Ids(ids),), "", (None, 0))
    assert router.choose((Ids((*ids, 7)),), "", (0, 0)) == 1


FIRST = (0, None)
"""Only replica 0 is ready; round robin goes on with replica 1."""


def test_the_end_of_a_prompt_is_forgotten_before_its_beginning() -> None:
    router = PrefixRouter(2, blocks=8)
    for blocks in ("abc", "u", "v", "w"):
        router.choose(prompt(*blocks), "", FIRST)
    assert router.choose(prompt("a"), "", (0, 0)) == 0


def test_a_prompt_that_comes_again_is_remembered_for_longer() -> None:
    router = PrefixRouter(2, blocks=8)
    for blocks in ("abc", "u", "v", "abc", "w", "x"):
        router.choose(prompt(*blocks), "", FIRST)
    assert router.choose(prompt(*"abc"), "", (0, 0)) == 0


def test_a_prompt_that_was_not_seen_for_long_is_forgotten() -> None:
    router = PrefixRouter(2, blocks=8)
    for blocks in ("abc", "u", "v", "w", "x"):
        router.choose(prompt(*blocks), "", FIRST)
    assert router.choose(prompt(*"abc"), "", (0, 0)) == 1


prompts = st.lists(st.sampled_from("ab"), max_size=5).map(lambda blocks: prompt(*blocks))
loads = st.lists(st.none() | st.integers(0, 8), min_size=3, max_size=3).filter(
    lambda loads: loads != [None] * 3
)
calls = st.lists(st.tuples(prompts, st.sampled_from(["", "salt"]), loads), max_size=30)


@given(calls)
def test_the_choice_is_the_one_a_search_through_all_earlier_prompts_makes(
    calls: Sequence[tuple[PromptSegments, str, Sequence[int | None]]],
) -> None:
    router = PrefixRouter(3)
    seen: list[tuple[str, str, int]] = []
    for segments, salt, given_loads in calls:
        chosen = router.choose(segments, salt, given_loads)
        ready = {number: load for number, load in enumerate(given_loads) if load is not None}
        least = min(ready.values())
        assert ready[chosen] <= least + CLEARLY_BUSIER
        text = _text(segments)
        cached = {number: _longest(text, salt, number, seen) for number in ready}
        fair = [number for number, load in ready.items() if load <= least + CLEARLY_BUSIER]
        best = max(cached[number] for number in fair)
        assert cached[chosen] == best
        ties = [number for number in fair if cached[number] == best]
        assert ready[chosen] == min(ready[number] for number in ties)
        seen.append((text, salt, chosen))


def _text(segments: PromptSegments) -> str:
    control, text = segments
    assert isinstance(control, Control)
    assert isinstance(text, Text)
    return f"\0{control.token}\0{text.text}"


def _longest(text: str, salt: str, replica: int, seen: list[tuple[str, str, int]]) -> int:
    """Whole blocks that the replica has seen of the beginning of ``text``."""
    return max(
        (
            _common(text, earlier) // BLOCK_CHARACTERS
            for earlier, its_salt, number in seen
            if (its_salt, number) == (salt, replica)
        ),
        default=0,
    )


def _common(one: str, other: str) -> int:
    return next(
        (place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )
