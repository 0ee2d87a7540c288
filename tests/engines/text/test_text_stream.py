from hypothesis import given
from hypothesis import strategies as st

from codeserve.engines.text.text_stream import TextStream
from codeserve.engines.text.tokenizer import Tokenizer

STOPS = ("🦙", "界\n", "</s>")
tokens = st.one_of(
    st.integers(0, 261).map(lambda i: [i]),
    st.sampled_from(["世界", "世界\n", "🦙", "é", "</", "s>"]).map(lambda text: [*text.encode()]),
)


def shown(tokenizer: Tokenizer, chunks: list[list[int]]) -> tuple[str, str | None]:
    stream = TextStream(tokenizer, STOPS)
    text = "".join([stream.feed(chunk) for chunk in chunks]) + stream.finish()
    return text, stream.stop


@given(groups=st.lists(tokens, max_size=12))
def test_streaming_shows_what_one_shot_shows(tokenizer: Tokenizer, groups: list[list[int]]) -> None:
    ids = [token_id for group in groups for token_id in group]
    whole, stop = shown(tokenizer, [ids])

    assert shown(tokenizer, [[i] for i in ids]) == (whole, stop)
    assert shown(tokenizer, groups) == (whole, stop)
    assert not [text for text in STOPS if text in whole]


def test_a_character_split_over_tokens_appears_when_it_is_whole(tokenizer: Tokenizer) -> None:
    stream = TextStream(tokenizer)
    first, *middle, last = "🦙".encode()
    assert [stream.feed([first]), stream.feed(middle), stream.feed([last])] == ["", "", "🦙"]


def test_an_unfinished_character_ends_as_a_replacement_character(tokenizer: Tokenizer) -> None:
    assert shown(tokenizer, [[97, "世".encode()[0]]]) == ("a\ufffd", None)


def test_a_control_token_inside_the_stream_shows_nothing(tokenizer: Tokenizer) -> None:
    assert shown(tokenizer, [[97, 257, 98]]) == ("ab", None)


def test_a_stop_string_is_found_across_tokens_and_ends_the_text(tokenizer: Tokenizer) -> None:
    ids = [*"世界\n!".encode()]
    assert shown(tokenizer, [[i] for i in ids]) == ("世", "界\n")
