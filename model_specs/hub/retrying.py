"""Trying again what may succeed later, a bounded number of times."""

import time
from collections.abc import Callable
from typing import TypeVar

from codeserve.model_specs.errors import PullError

PAUSES = (1.0, 2.0)
"""Seconds before the second and the third attempt."""
LONGEST_PAUSE = 120.0
"""A hub that asks for more, in seconds, is given up."""
PASSING = frozenset({"hub_error", "rate_limited", "unreachable"})
"""Codes of errors that may pass."""

Result = TypeVar("Result")


def patiently(action: Callable[[], Result], moved: Callable[[], int] | None = None) -> Result:
    """What ``action`` gives, called again after errors that may pass.

    ``moved`` counts the bytes that came: as long as it grows, attempts are counted anew; where it
    does not, a hub that cannot be reached is given up at once, as the client library has tried
    again by itself.

    Raises:
        PullError: of the last attempt.
    """
    failures, before = 0, moved() if moved else 0
    while True:
        try:
            return action()
        except PullError as error:
            now = moved() if moved else 0
            failures = 1 if now > before else failures + 1
            stuck = moved is not None and now <= before and error.code == "unreachable"
            if error.code not in PASSING or failures > len(PAUSES) or stuck:
                raise
            before = now
            pause = PAUSES[failures - 1] if error.retry_after is None else error.retry_after
            if pause > LONGEST_PAUSE:
                raise PullError(
                    f"{error} It asks to try again in {pause:.0f} s.", code=error.code
                ) from error
        time.sleep(pause)
