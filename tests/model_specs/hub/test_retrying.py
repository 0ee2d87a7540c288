"""What may pass is tried again a bounded number of times."""

from collections.abc import Callable, Iterator

import pytest

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.retrying import PAUSES, patiently


def passing(code: str = "rate_limited") -> PullError:
    return PullError("Not now.", code=code, retry_after=0)


def failing(errors: list[PullError]) -> Callable[[], str]:
    left: Iterator[PullError] = iter(errors)

    def action() -> str:
        for error in left:
            raise error
        return "done"

    return action


def test_an_error_that_passes_is_forgotten() -> None:
    assert patiently(failing([passing()] * len(PAUSES))) == "done"


def test_an_error_that_stays_is_raised() -> None:
    with pytest.raises(PullError, match="Not now"):
        patiently(failing([passing()] * (len(PAUSES) + 1)))


@pytest.mark.parametrize("code", ["not_found", "gated", "corrupt", "no_space"])
def test_an_error_that_cannot_pass_is_raised_at_once(code: str) -> None:
    with pytest.raises(PullError):
        patiently(failing([passing(code)]))


def test_as_long_as_bytes_come_attempts_are_counted_anew() -> None:
    many = 3 * len(PAUSES)
    moved = iter(range(many + 1))
    assert patiently(failing([passing()] * many), lambda: next(moved)) == "done"


def test_a_hub_that_cannot_be_reached_is_given_up_at_once_where_no_bytes_come() -> None:
    with pytest.raises(PullError):
        patiently(failing([passing("unreachable")]), lambda: 0)


def test_a_pause_that_is_too_long_is_not_made() -> None:
    with pytest.raises(PullError, match=r"Not now\. It asks to try again in 3600 s\."):
        patiently(failing([PullError("Not now.", code="rate_limited", retry_after=3600)]))
