import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.engines.errors import InvalidRequest
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.model_specs.segments import Content, Control, Ids, Text

FRAGMENTS = ["<|EOT|>", "<|", "|><|", "<bos>", "[PAD9]", "EOT", "ü", "|>", "x", "é", "\n"]


def plain_ids(text: str) -> list[int]:
    """Bytes, except for the letter token."""
    ids: list[int] = []
    for character in text:
        ids += [260] if character == "ü" else character.encode()
    return ids


def test_a_control_segment_becomes_the_id_of_its_token(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode([Control("<bos>"), Text("a"), Control("<|EOT|>")]) == [256, 97, 257]


def test_a_special_token_that_the_variant_does_not_name_can_be_a_control_segment(
    tokenizer: Tokenizer,
) -> None:
    assert tokenizer.encode([Control("|><|")]) == [258]


def test_an_unknown_control_token_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(InvalidRequest, match="no token '<nope>'"):
        tokenizer.encode([Control("<nope>")])


@given(parts=st.lists(st.sampled_from(FRAGMENTS)))
def test_text_that_spells_control_tokens_stays_text(tokenizer: Tokenizer, parts: list[str]) -> None:
    text = "".join(parts)
    assert tokenizer.encode([Content(text)]) == plain_ids(text)


def test_neighbouring_texts_are_encoded_as_one(tokenizer: Tokenizer) -> None:
    segments = (Text("<|E"), Content("OT|>"), Text(""))
    assert tokenizer.encode(segments) == plain_ids("<|EOT|>")


def test_ids_are_used_verbatim(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode([Text("a"), Ids((257, 0)), Text("b")]) == [97, 257, 0, 98]


@pytest.mark.parametrize("token_id", [-1, 262])
def test_an_id_outside_the_vocabulary_is_refused(tokenizer: Tokenizer, token_id: int) -> None:
    with pytest.raises(InvalidRequest, match=r"outside this model's vocabulary, 0 to 261"):
        tokenizer.encode([Ids((token_id,))])


def test_half_a_surrogate_pair_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(InvalidRequest, match=r"U\+D83D"):
        tokenizer.encode([Content("a\ud83d")])


def test_control_tokens_and_padding_show_nothing_and_letter_tokens_their_letter(
    tokenizer: Tokenizer,
) -> None:
    assert tokenizer.decode([256, 97, 257, 259, 260, 258]) == "aü"


def test_padding_rows_are_never_sampled(tokenizer: Tokenizer) -> None:
    assert tokenizer.never_sampled == (259,)


@pytest.mark.parametrize("token_id", [-1, 262])
def test_an_id_outside_the_vocabulary_has_no_text(tokenizer: Tokenizer, token_id: int) -> None:
    with pytest.raises(IndexError, match="outside the vocabulary"):
        tokenizer.decode([token_id])
