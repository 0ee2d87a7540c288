from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from codeserve.engines.llama_cpp.weights import Weights
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.model_specs.golden import prove
from codeserve.model_specs.segments import Content, Text
from codeserve.model_specs.spec import Variant
from tests.vocabularies import vectors

OpenHead = Callable[[Path], Weights]
CONTROL_TYPE = 3


@pytest.mark.parametrize(
    ("file", "variant"), [("v1_file", "deepseek-coder v1"), ("v15_file", "deepseek-coder v1.5")]
)
def test_every_vector_of_llama_cpp_is_reproduced(
    request: pytest.FixtureRequest,
    open_head: OpenHead,
    variants: Mapping[str, Variant],
    file: str,
    variant: str,
) -> None:
    path = request.getfixturevalue(file)
    tokenizer = Tokenizer(open_head(path).vocabulary, variants[variant])
    expected = vectors(path)

    assert len(expected) > 40
    assert [(text, tokenizer.encode([Text(text)])) for text, _ in expected] == expected
    assert [tokenizer.decode(ids) for _, ids in expected] == [text for text, _ in expected]


@pytest.mark.parametrize(
    ("file", "variant"),
    [
        ("v1_file", "deepseek-coder v1"),
        ("v1_file", "deepseek-coder-instruct v1"),
        ("v15_file", "deepseek-coder v1.5"),
        ("v15_file", "deepseek-coder-instruct v1.5"),
        ("smollm2_path", "smollm2-instruct v2"),
    ],
)
def test_every_variant_of_the_catalogue_is_proven_by_its_vocabulary(
    request: pytest.FixtureRequest,
    open_head: OpenHead,
    variants: Mapping[str, Variant],
    file: str,
    variant: str,
) -> None:
    vocabulary = open_head(request.getfixturevalue(file)).vocabulary
    tokenizer = Tokenizer(vocabulary, variants[variant])
    assert prove(variants[variant], tokenizer.encode, tokenizer.decode) == []


def test_no_variant_is_left_out_of_the_proof(variants: Mapping[str, Variant]) -> None:
    assert set(variants) == {
        "deepseek-coder v1",
        "deepseek-coder v1.5",
        "deepseek-coder-instruct v1",
        "deepseek-coder-instruct v1.5",
        "smollm2-instruct v2",
    }


def test_a_wrong_pre_tokenizer_is_not_proven(
    v1_file: Path,
    edited: Callable[..., Path],
    open_head: OpenHead,
    variants: Mapping[str, Variant],
) -> None:
    path = edited(v1_file, {"tokenizer.ggml.pre": "llama-bpe"})
    variant = variants["deepseek-coder v1"]
    tokenizer = Tokenizer(open_head(path).vocabulary, variant)
    assert prove(variant, tokenizer.encode, tokenizer.decode) != []


def test_the_end_of_turn_typed_as_text_is_plain_text(v1_tokenizer: Tokenizer) -> None:
    assert v1_tokenizer.encode([Content("<|EOT|>")]) == [27, 91, 36, 2778, 91, 29]


def test_every_added_token_typed_as_text_is_plain_text_in_any_company(
    v1_file: Path, open_head: OpenHead, v1_tokenizer: Tokenizer
) -> None:
    vocabulary = open_head(v1_file).vocabulary
    letters = range(32000, 32013)
    for text, token_id in vocabulary.special_tokens.items():
        if token_id not in letters:
            for around in (text, f" {text}", f"x{text}y", f"{text}{text}", f"<{text}>"):
                ids = v1_tokenizer.encode([Content(around)])
                assert max(ids) < 32000
                assert v1_tokenizer.decode(ids) == around


def test_letters_are_tokens_even_in_a_file_that_marks_them_as_control(
    v1_file: Path,
    retyped: Callable[..., Path],
    open_head: OpenHead,
    variants: Mapping[str, Variant],
) -> None:
    path = retyped(v1_file, dict.fromkeys(range(32000, 32013), CONTROL_TYPE))
    vocabulary = open_head(path).vocabulary
    assert vocabulary.encode("Führer") != [37, 32009, 71, 6247]

    tokenizer = Tokenizer(vocabulary, variants["deepseek-coder v1"])
    assert tokenizer.encode([Text("Führer")]) == [37, 32009, 71, 6247]
    assert tokenizer.decode([37, 32009, 71, 6247]) == "Führer"


def test_padding_rows_of_v1_are_never_sampled(v1_tokenizer: Tokenizer) -> None:
    assert v1_tokenizer.never_sampled == tuple(range(32022, 32256))


@pytest.mark.parametrize("text", ["a" * 40_000, " " * 40_000])
def test_a_long_run_of_one_kind_of_character_is_encoded(
    v15_file: Path, open_head: OpenHead, variants: Mapping[str, Variant], text: str
) -> None:
    tokenizer = Tokenizer(open_head(v15_file).vocabulary, variants["deepseek-coder v1.5"])
    assert tokenizer.decode(tokenizer.encode([Content(text)])) == text


@pytest.mark.parametrize("file", ["v1_file", "smollm2_path"])
def test_joined_tokens_have_the_bytes_of_each(
    request: pytest.FixtureRequest, open_head: OpenHead, file: str
) -> None:
    vocabulary = open_head(request.getfixturevalue(file)).vocabulary
    ids = range(1000, 3000)
    assert vocabulary.join(ids) == b"".join(map(vocabulary.piece, ids))
