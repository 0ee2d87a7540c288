from hypothesis import given
from hypothesis import strategies as st

from codeserve.app.keys.window import MINUTE, TokenCounters, token_window


def test_what_was_used_counts_less_the_longer_it_is_ago() -> None:
    assert token_window(100, TokenCounters(60, 45.0, 20, 105.0)).remaining == 100 - 45 - 20
    assert token_window(100, TokenCounters(60, 15.0, 20, 75.0)).remaining == 100 - 15 - 20


def test_unused_tokens_are_there_at_once() -> None:
    window = token_window(100, TokenCounters(0, 0.0, 0, 0.0))
    assert (window.remaining, window.reset) == (100, 0.0)


@given(
    limit=st.integers(1, 10**6),
    previous=st.integers(0, 10**7),
    current=st.integers(0, 10**7),
    left=st.floats(0.1, MINUTE),
    share=st.floats(0, 1),
)
def test_there_are_as_many_tokens_as_wanted_right_after_the_reset_and_not_before(
    limit: int, previous: int, current: int, left: float, share: float
) -> None:
    wanted = max(1, round(limit * share))
    counters = TokenCounters(previous, left, current, left + MINUTE)
    window = token_window(limit, counters, wanted)
    if window.remaining >= wanted:
        assert window.reset == 0.0
        return
    assert token_window(limit, after(counters, window.reset + 0.01)).remaining >= wanted
    if window.reset > 0.02:
        assert token_window(limit, after(counters, window.reset - 0.01)).remaining < wanted


def after(counters: TokenCounters, seconds: float) -> TokenCounters:
    """The counters ``seconds`` later, when nothing has been used meanwhile."""
    left = counters.previous_left - seconds
    if left > 0:
        return TokenCounters(counters.previous, left, counters.current, left + MINUTE)
    if left + MINUTE > 0:
        return TokenCounters(counters.current, left + MINUTE, 0, left + 2 * MINUTE)
    return TokenCounters(0, 0.0, 0, MINUTE)
