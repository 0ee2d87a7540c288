from collections.abc import Callable

import pytest

from codeserve.engines.text.token_names import ShownLogprobs, TokenNames
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import NamedToken, TokenLogprobs, TokenScore

Name = Callable[..., list[TokenLogprobs]]


@pytest.fixture
def name(tokenizer: Tokenizer) -> Name:
    names = TokenNames(tokenizer)
    return lambda *ids: [names.named(token_id, TokenScore(-1.0, 1)) for token_id in ids]


def spellings(logprobs: tuple[TokenLogprobs, ...]) -> list[bytes]:
    return [token.chosen.spelling for token in logprobs]


def test_text_has_its_bytes_and_a_control_token_its_name(tokenizer: Tokenizer) -> None:
    score = TokenScore(-0.5, 2, ((257, -0.1), (0xC3, -0.5)))
    assert TokenNames(tokenizer).named(0xC3, score) == TokenLogprobs(
        NamedToken(0xC3, b"\xc3", -0.5, is_text=True),
        2,
        (
            NamedToken(257, b"<|EOT|>", -0.1, is_text=False),
            NamedToken(0xC3, b"\xc3", -0.5, is_text=True),
        ),
    )


def test_tokens_are_shown_with_their_text(name: Name) -> None:
    shown = ShownLogprobs()
    a, b, c = name(*b"abc")
    assert shown.feed([a], "a", holds_text=False) == (a,)
    assert shown.feed([b], "", holds_text=True) == ()
    assert shown.feed([c], "bc", holds_text=False) == (b, c)
    assert shown.finish(is_cut=False) == ()


def test_what_a_stop_string_cuts_off_is_not_shown(name: Name) -> None:
    shown = ShownLogprobs()
    shown.feed(name(*b"ab"), "a", holds_text=True)
    shown.feed(name(*b"cd"), "", holds_text=True)
    assert spellings(shown.finish(is_cut=True)) == [b"a"]


def test_a_token_that_is_cut_through_keeps_the_bytes_before_the_cut(tokenizer: Tokenizer) -> None:
    long = TokenLogprobs(NamedToken(1, "hé!STOP".encode(), -1.0), 1)
    shown = ShownLogprobs()
    shown.feed([long], "hé!", holds_text=True)
    assert spellings(shown.finish(is_cut=True)) == ["hé!".encode()]


def test_characters_split_over_tokens_are_whole_or_not_there(name: Name) -> None:
    shown = ShownLogprobs()
    shown.feed(name(*"🙂x".encode()), "🙂", holds_text=True)
    assert b"".join(spellings(shown.finish(is_cut=True))) == "🙂".encode()


def test_control_tokens_take_no_text(name: Name) -> None:
    shown = ShownLogprobs()
    shown.feed(name(97, 257, 98, 99), "ab", holds_text=True)
    assert spellings(shown.finish(is_cut=True)) == [b"a", b"<|EOT|>", b"b"]
