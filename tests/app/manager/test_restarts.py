from codeserve.app.manager.restarts import Backoff, RestartPolicy

POLICY = RestartPolicy(first_delay=1.0, longest_delay=5.0, healthy_after=100.0, load_attempts=3)


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(POLICY)
    assert [backoff.delay(10.0) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_worker_that_was_healthy_starts_the_delays_anew() -> None:
    backoff = Backoff(POLICY)
    assert [backoff.delay(served) for served in (10.0, 10.0, 100.0, 10.0)] == [1.0, 2.0, 1.0, 2.0]


def test_loading_is_given_up_when_too_many_workers_in_a_row_die() -> None:
    backoff = Backoff(POLICY)
    assert [backoff.delay(None) for _ in range(3)] == [1.0, 2.0, None]


def test_a_worker_that_served_starts_the_count_of_load_attempts_anew() -> None:
    backoff = Backoff(POLICY)
    assert None not in [backoff.delay(served) for served in (None, None, 1.0, None, None)]
    assert backoff.delay(None) is None
