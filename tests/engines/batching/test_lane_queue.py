from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.engines.batching.lane_queue import HANDICAPS, LaneQueue
from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.types import GenerationRequest, Lane

BACKLOG, MOST_TOKENS = 5, 3000


def a_sequence(lane: Lane = Lane.NORMAL, priority: int = 0, tokens: int = 1) -> Sequence:
    return Sequence(
        GenerationRequest(
            id="r",
            prompt_ids=(1,) * tokens,
            max_tokens=1,
            stop_ids=frozenset(),
            lane=lane,
            priority=priority,
        )
    )


def enter(queue: LaneQueue[Sequence], sequence: Sequence, now: int = 0) -> Sequence:
    queue.enter(sequence, now, sequence.pending)
    return sequence


def drain(queue: LaneQueue[Sequence]) -> list[Sequence]:
    return [queue.pop() for _ in range(len(queue))]


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 2), (0, 2)])
def test_a_lane_goes_before_the_next_until_its_handicap_is_worked_off(
    first: int, second: int
) -> None:
    ahead, behind = Lane(first), Lane(second)
    lead = HANDICAPS[behind] - HANDICAPS[ahead]
    queue = LaneQueue[Sequence]()
    waiting = enter(queue, a_sequence(behind), now=0)
    late = enter(queue, a_sequence(ahead), now=lead + 1)
    early = enter(queue, a_sequence(ahead), now=lead - 1)
    assert drain(queue) == [early, waiting, late]


def test_in_a_lane_the_lower_priority_number_goes_first_whatever_is_due() -> None:
    queue = LaneQueue[Sequence]()
    polite = enter(queue, a_sequence(priority=1))
    long = enter(queue, a_sequence(priority=0, tokens=900))
    short = enter(queue, a_sequence(priority=0, tokens=9))
    assert drain(queue) == [short, long, polite]


def test_a_priority_does_not_lift_a_request_out_of_its_lane() -> None:
    queue = LaneQueue[Sequence]()
    pushy = enter(queue, a_sequence(Lane.BATCH, priority=-(2**63)))
    normal = enter(queue, a_sequence(Lane.NORMAL))
    assert drain(queue) == [normal, pushy]


def test_what_has_left_is_not_next() -> None:
    queue = LaneQueue[Sequence]()
    gone, stays = enter(queue, a_sequence()), enter(queue, a_sequence())
    queue.leave(gone)
    assert gone not in queue
    assert drain(queue) == [stays]
    assert stays in queue


@given(
    lane=st.sampled_from(Lane),
    priority=st.integers(-2, 2),
    arrivals=st.lists(
        st.tuples(st.sampled_from(Lane), st.integers(-2, 2), st.integers(500, MOST_TOKENS)),
        min_size=1,
        max_size=8,
    ),
)
def test_nobody_starves_behind_other_lanes(
    lane: Lane, priority: int, arrivals: list[tuple[Lane, int, int]]
) -> None:
    """One slot, and some of other lanes always wait, of any priority."""
    queue, now, arrival = LaneQueue[Sequence](), 0, cycle(arrivals)
    victim = enter(queue, a_sequence(lane, priority, tokens=500))
    overtaken = 0
    while victim in queue:
        while len(queue) < BACKLOG:
            other, its_priority, tokens = next(arrival)
            other = Lane((other + 1) % len(Lane)) if other is lane else other
            enter(queue, a_sequence(other, its_priority, tokens), now)
        served = queue.pop()
        queue.leave(served)
        now += served.pending
        overtaken += served.pending * (served is not victim)
        assert overtaken <= HANDICAPS[lane] + 500 + BACKLOG * MOST_TOKENS
