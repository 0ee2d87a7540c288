"""The residency policy over time, with virtual models and requests."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeserve.app.manager.residency import Decision, Limits, Resident, Wish
from codeserve.app.manager.swap_simulation import (
    SimulatedModel,
    SimulatedRequest,
    SwapSimulation,
)

LOAD_SECONDS = 5.0
SERVE_SECONDS = 0.5
ONE = Limits(budget={"memory": 1})


def alternating(count: int, per_second: float) -> Sequence[SimulatedRequest]:
    return [
        SimulatedRequest(at=index / per_second, model="ab"[index % 2], seconds=SERVE_SECONDS)
        for index in range(count)
    ]


def two_models() -> Sequence[SimulatedModel]:
    return [
        SimulatedModel(id=name, needs={"memory": 1}, load_seconds=LOAD_SECONDS) for name in "ab"
    ]


@pytest.mark.parametrize("per_second", [1.0, 5.0, 20.0])
def test_alternating_requests_to_two_models_do_not_thrash(per_second: float) -> None:
    requests = alternating(1000, per_second)
    trace = SwapSimulation(two_models(), ONE).run(requests)
    seconds = requests[-1].at
    assert len(trace.waits) == 1000
    # Each model stays for its residence, so a swap comes at most so often.
    assert trace.loads <= 2 + seconds / (LOAD_SECONDS + ONE.stay)
    # At worst the other one has just begun to load, and is then busy until patience ends.
    assert max(trace.waits.values()) <= 2 * LOAD_SECONDS + ONE.patience + SERVE_SECONDS


def test_in_order_every_request_of_the_same_trace_is_a_swap() -> None:
    plain = Limits(budget={"memory": 1}, patience=0, residence=0, lull=0)
    trace = SwapSimulation(two_models(), plain, in_order=True).run(alternating(1000, 1.0))
    assert trace.loads == 1000


def test_one_request_now_and_then_to_another_model_is_met_without_waiting_for_patience() -> None:
    requests = [
        SimulatedRequest(at=60.0 * index, model="ab"[index % 2], seconds=1) for index in range(20)
    ]
    trace = SwapSimulation(two_models(), ONE).run(requests)
    assert max(trace.waits.values()) == LOAD_SECONDS


def test_models_that_fit_together_are_loaded_once() -> None:
    trace = SwapSimulation(two_models(), Limits(budget={"memory": 2})).run(alternating(100, 10.0))
    assert (trace.loads, trace.evictions) == (2, 0)


BUDGET = 10
LONGEST = 5.0
names = "abcd"


@st.composite
def models(draw: st.DrawFn) -> Sequence[SimulatedModel]:
    return [
        SimulatedModel(
            id=name,
            needs={"memory": draw(st.integers(1, 12))},
            load_seconds=draw(st.floats(0.1, LONGEST)),
            unload_seconds=draw(st.floats(0, 1.0)),
            pinned=draw(st.sampled_from([False, False, False, True])),
        )
        for name in names
    ]


requests = st.lists(
    st.builds(
        SimulatedRequest,
        at=st.floats(0, 100),
        model=st.sampled_from(names),
        seconds=st.floats(0, LONGEST),
    ),
    max_size=60,
).map(lambda given: sorted(given, key=lambda request: request.at))
limits = st.builds(
    Limits,
    budget=st.just({"memory": BUDGET}),
    max_loaded=st.none() | st.integers(1, 3),
    patience=st.floats(0, 20),
    residence=st.floats(0, 20),
    lull=st.floats(0, 5),
)


@given(models(), requests, limits)
@settings(max_examples=300, deadline=None)
def test_every_request_is_served_or_refused_within_a_bound(
    models: Sequence[SimulatedModel], requests: Sequence[SimulatedRequest], limits: Limits
) -> None:
    def watch(present: Sequence[Resident], asked: Sequence[Wish], decision: Decision) -> None:
        assert sum(resident.needs["memory"] for resident in present) <= BUDGET

    trace = SwapSimulation(models, limits, watch=watch).run(requests)
    assert set(trace.waits) | trace.refused == set(range(len(requests)))
    assert not set(trace.waits) & trace.refused
    # Each older wish may have to wait for a load, for patience, for the last request and for the
    # memory to come back.
    turn = LONGEST + limits.patience + LONGEST + 1.0
    assert max(trace.waits.values(), default=0) <= len(names) * turn + LONGEST
