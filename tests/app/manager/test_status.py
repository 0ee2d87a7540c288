import itertools

import pytest

from codeserve.app.manager.status import ModelState

COURSE = ["pending", "pulling", "loading", "proving", "ready", "draining", "stopped"]


def test_the_good_course_is_legal() -> None:
    states = [ModelState(name) for name in COURSE]
    assert all(now.may_become(then) for now, then in itertools.pairwise(states))


@pytest.mark.parametrize("state", sorted(set(ModelState) - {ModelState.STOPPED, ModelState.READY}))
def test_every_state_can_be_stopped(state: ModelState) -> None:
    assert state.may_become(ModelState.STOPPED)


def test_a_ready_model_is_drained_before_it_stops() -> None:
    assert not ModelState.READY.may_become(ModelState.STOPPED)


@pytest.mark.parametrize("state", ModelState)
def test_nothing_follows_a_stop(state: ModelState) -> None:
    assert not ModelState.STOPPED.may_become(state)


@pytest.mark.parametrize("state", sorted(set(ModelState) - {ModelState.PROVING}))
def test_only_a_proof_makes_a_model_ready(state: ModelState) -> None:
    assert not state.may_become(ModelState.READY)
