import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.engines.errors import InvalidRequest
from codeserve.engines.text.stop_strings import StopStrings

texts = st.text(alphabet="abc\n", max_size=30)
stop_lists = st.lists(st.text(alphabet="abc\n", min_size=1, max_size=5), max_size=4)


def shown(stops: list[str], chunks: list[str]) -> tuple[str, str | None]:
    stream = StopStrings(stops)
    text = "".join([stream.feed(chunk) for chunk in chunks]) + stream.finish()
    return text, stream.matched


@given(stops=stop_lists, chunks=st.lists(texts, max_size=8))
def test_chunks_do_not_change_what_is_shown(stops: list[str], chunks: list[str]) -> None:
    assert shown(stops, chunks) == shown(stops, ["".join(chunks)])
    assert shown(stops, chunks) == shown(stops, list("".join(chunks)))


@given(stops=stop_lists, text=texts)
def test_what_is_shown_is_the_text_before_the_first_stop(stops: list[str], text: str) -> None:
    found = [text.find(stop) for stop in stops if stop in text]
    assert shown(stops, [text])[0] == text[: min(found, default=len(text))]


@given(stops=stop_lists, chunks=st.lists(texts, max_size=8))
def test_no_stop_string_is_ever_shown_even_while_streaming(
    stops: list[str], chunks: list[str]
) -> None:
    stream = StopStrings(stops)
    so_far = ""
    for chunk in chunks:
        so_far += stream.feed(chunk)
        assert not [stop for stop in stops if stop in so_far]


def test_only_a_possible_beginning_of_a_stop_string_is_held_back() -> None:
    stream = StopStrings(["</code>"])
    assert [stream.feed(chunk) for chunk in ("a <", "b", " </co", "d")] == ["a ", "<b", " ", ""]
    assert stream.feed("x") == "</codx"


def test_a_held_beginning_is_released_at_the_end() -> None:
    assert shown(["END"], ["the EN"]) == ("the EN", None)


def test_text_after_a_stop_string_is_dropped() -> None:
    assert shown(["\n"], ["a\nb", "c"]) == ("a", "\n")


def test_a_stop_string_that_began_first_wins_over_one_that_ended_first() -> None:
    assert shown(["bc", "abcd"], list("xabcd")) == ("x", "abcd")
    assert shown(["bc", "abcd"], list("xabce")) == ("xa", "bc")
    assert shown(["bc", "abcd"], list("xabc")) == ("xa", "bc")


def test_of_two_stops_at_one_place_the_one_complete_first_wins() -> None:
    assert shown(["\n\n", "\n"], ["a\n\n"]) == ("a", "\n")


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="must not be empty"):
        StopStrings(["a", ""])


def test_a_stop_string_may_be_shown() -> None:
    stops = StopStrings(["two"], include=True)
    assert stops.feed("one t") + stops.feed("wo three") == "one two"
    assert stops.matched == "two"
