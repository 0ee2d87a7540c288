import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.app.bench.record import Outcome, Record
from codeserve.app.bench.statistics import copied_share, medians, percentile, percentiles, summary

TIMES = st.lists(st.floats(0, 1000), min_size=1)


def record(*times: float, sent: float = 0.0, outcome: Outcome = Outcome.COMPLETED) -> Record:
    """A request whose last text ends it."""
    return Record(outcome, sent, times, times[-1] if times else sent + 1)


def counted(tokens: int, *times: float, cached: int | None = None) -> Record:
    return Record(Outcome.COMPLETED, 0, times, times[-1], "", 10, cached, tokens)


@given(TIMES)
def test_a_percentile_lies_between_the_least_and_the_greatest(values: list[float]) -> None:
    assert percentile(values, 0) == min(values)
    assert percentile(values, 1) == max(values)
    assert min(values) <= percentile(values, 0.5) <= max(values)


def test_a_percentile_is_interpolated() -> None:
    assert percentile([4.0, 1.0, 2.0, 3.0], 0.5) == 2.5
    assert percentile([10.0, 20.0], 0.95) == pytest.approx(19.5)


def test_a_percentile_of_nothing_is_refused_and_left_out_of_figures() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        percentile([], 0.5)
    assert percentiles("ttft", [], 50) == {}


def test_times_are_counted_from_the_sending() -> None:
    figures = summary([record(3.0, 3.5, 5.0, sent=1.0)])
    assert figures["ttft_p50"] == 2.0
    assert figures["gap_p50"] == 1.0
    assert figures["all_done"] == 4.0


def test_tokens_are_those_that_the_server_counts() -> None:
    figures = summary([counted(9, 1.0, 2.0, 3.0)])
    assert figures["output_tokens"] == 9
    assert figures["stream_rate"] == 4.0
    assert figures["total_rate"] == 3.0


def test_without_the_servers_count_each_event_is_a_token() -> None:
    figures = summary([record(1.0, 2.0, 3.0)])
    assert figures["output_tokens"] == 3
    assert figures["stream_rate"] == 1.0
    assert "prompt_tokens" not in figures


def test_streams_count_together_from_the_first_sending_to_the_last_end() -> None:
    figures = summary([record(1.0, 2.0), record(3.0, 8.0, sent=2.0)])
    assert figures["total_rate"] == 0.5


def test_cached_tokens_are_added_up() -> None:
    assert summary([counted(1, 1.0, cached=3), counted(1, 1.0, cached=4)])["cached_tokens"] == 7
    assert "cached_tokens" not in summary([counted(1, 1.0)])


def test_only_completed_requests_count() -> None:
    done, cancelled = record(1.0, 2.0), record(100.0, outcome=Outcome.CANCELLED)
    assert summary([done, cancelled]) == summary([done])
    assert summary([cancelled]) == {}


def test_one_text_has_no_decode_rate() -> None:
    assert "stream_rate" not in summary([record(1.0)])


def test_a_gap_counts_whole_where_it_touches_the_window() -> None:
    stream = record(0.0, 1.0, 9.0, 10.0, 11.0)
    assert stream.gaps_within(2.0, 8.0) == (8.0,)
    assert stream.gaps_within(8.5, 9.5) == (8.0, 1.0)
    assert stream.gaps_within(12.0, 13.0) == ()


def test_a_median_is_over_the_rounds_that_have_the_figure() -> None:
    assert medians([{"a": 1.0}, {"a": 2.0, "b": 5.0}, {"a": 9.0}]) == {"a": 2.0, "b": 5.0}


def test_copied_lines_are_those_of_the_file_except_the_last_which_may_be_cut() -> None:
    file = "def f():\n    return 1\n\nprint(f())\n"
    assert copied_share("    return 1\n\nprint(f())\ndef", file) == 1
    assert copied_share("    return 1\n    return 2\n    ret", file) == 0.5
    assert copied_share("", file) == 0
