import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.app.manager.service_rate import REMEMBERED, ServiceRate


def serve(rate: ServiceRate, seconds: float, requests: int, at_once: int, now: float = 0) -> float:
    """Have ``requests`` served, ``at_once`` of them side by side; when the last one ended."""
    for _ in range(requests // at_once):
        for _ in range(at_once):
            rate.begin(now)
        now += seconds
        for _ in range(at_once):
            rate.end(now)
    return now


def test_a_full_server_is_measured_as_it_serves() -> None:
    rate = ServiceRate(slots=4)
    end = serve(rate, seconds=2, requests=4000, at_once=4)
    assert rate.seconds_for(10, end) == pytest.approx(5, rel=0.05)


@given(idle=st.floats(0, 1e6), at_once=st.sampled_from([1, 2, 4]))
def test_what_a_server_does_with_free_slots_says_what_it_can_do(idle: float, at_once: int) -> None:
    rate = ServiceRate(slots=4)
    end = serve(rate, seconds=2, requests=1000, at_once=at_once)
    assert rate.seconds_for(10, end + idle) == pytest.approx(5, rel=0.05)


def test_those_who_wait_take_no_slot() -> None:
    few, many = ServiceRate(slots=2), ServiceRate(slots=2)
    for rate, waiting in ((few, 0), (many, 100)):
        for _ in range(2 + waiting):
            rate.begin(0)
        rate.end(1)
    assert few.seconds_for(7, 1) == many.seconds_for(7, 1)


def test_a_server_that_slows_down_is_noticed_before_a_request_ends() -> None:
    rate = ServiceRate(slots=1)
    end = serve(rate, seconds=1, requests=100, at_once=1)
    rate.begin(end)
    assert rate.seconds_for(1, end + 300) > 5


def test_what_is_long_over_counts_no_more() -> None:
    rate = ServiceRate(slots=1)
    end = serve(rate, seconds=100, requests=500, at_once=1)
    end = serve(rate, seconds=1, requests=10 * REMEMBERED, at_once=1, now=end)
    assert rate.seconds_for(1, end) == pytest.approx(1, rel=0.05)


def test_before_the_first_request_a_guess_is_made() -> None:
    assert ServiceRate(slots=4).seconds_for(8, 0) == 2
