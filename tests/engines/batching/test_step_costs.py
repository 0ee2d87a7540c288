import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.engines.batching.step_costs import StepCosts


def test_a_measured_curve_is_followed_and_interpolated() -> None:
    costs = StepCosts([(1, 0.010), (2, 0.015), (4, 0.020), (64, 0.100)])
    assert costs.seconds(2) == pytest.approx(0.015)
    assert costs.seconds(3) == pytest.approx(0.0175)
    assert 0.020 < costs.seconds(40) < 0.100
    assert costs.seconds(128) == pytest.approx(0.200)


def test_an_assumed_curve_gets_its_unit_from_the_first_step() -> None:
    costs = StepCosts()
    assert not costs.is_measured
    ratio = costs.seconds(8) / costs.seconds(1)
    costs.learn(1, 0.020)
    assert costs.is_measured
    assert costs.seconds(1) == pytest.approx(0.020)
    assert costs.seconds(8) == pytest.approx(0.020 * ratio)


@pytest.mark.parametrize("tokens", [1, 5, 8, 100, 3000])
def test_steps_that_take_longer_than_expected_raise_the_curve_there(tokens: int) -> None:
    costs = StepCosts([(1, 0.010), (256, 0.256)])
    elsewhere = 1 if tokens > 50 else 256
    untouched = costs.seconds(elsewhere)
    for _ in range(200):
        costs.learn(tokens, 0.9)
    assert costs.seconds(tokens) == pytest.approx(0.9, rel=0.05)
    assert costs.seconds(elsewhere) == untouched


@given(seconds=st.floats(0.001, 1.0), most=st.integers(1, 256))
def test_the_most_tokens_within_a_time_is_the_most(seconds: float, most: int) -> None:
    costs = StepCosts([(1, 0.010), (16, 0.050), (256, 0.5)])
    tokens = costs.tokens_within(seconds, most)
    assert 1 <= tokens <= most
    assert tokens == 1 or costs.seconds(tokens) <= seconds
    assert tokens == most or costs.seconds(tokens + 1) > seconds
