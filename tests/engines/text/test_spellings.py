from hypothesis import given
from hypothesis import strategies as st

from codeserve.engines.text.spellings import Spellings

SPELLINGS = ["<|EOT|>", "|><|", "<|", "<pad>", "aaa", "a"]


@given(text=st.text(alphabet="<|EOT>pad"))
def test_no_part_contains_a_spelling_and_nothing_is_lost(text: str) -> None:
    parts = list(Spellings(SPELLINGS, b"").disarm(text))

    assert "".join(parts) == text
    assert not [p for p in parts for spelling in SPELLINGS if len(spelling) > 1 and spelling in p]


def test_a_text_without_spellings_is_one_part() -> None:
    assert list(Spellings(SPELLINGS, b"").disarm("a < b | c > d")) == ["a < b | c > d"]


def test_a_cut_ends_a_word() -> None:
    assert list(Spellings(["<|EOT|>"], b"").disarm("x<|EOT|>y")) == ["x<|EOT", "|>y"]


def test_a_cut_avoids_characters_that_a_token_joins() -> None:
    spellings = Spellings(["<|EOT|>"], b"T|\n")
    assert list(spellings.disarm("<|EOT|>")) == ["<", "|EOT|>"]


def test_characters_of_two_tokens_are_not_joined() -> None:
    spellings = Spellings(["<|EOT|>"], b"T\n|\n")
    assert list(spellings.disarm("<|EOT|>")) == ["<|EOT", "|>"]


def test_many_spellings_are_cut_in_one_pass() -> None:
    text = "<|EOT|>" * 50_000
    assert sum(1 for _ in Spellings(["<|EOT|>"], b"").disarm(text)) == 50_001
