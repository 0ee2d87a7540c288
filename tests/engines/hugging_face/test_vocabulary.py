from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.hugging_face.folder import Folder
from codeserve.engines.text.tokenizer import Tokenizer, Vocabulary
from codeserve.engines.text.variants import DescribedWeights
from codeserve.model_specs.golden import prove
from codeserve.model_specs.segments import Content, Text
from codeserve.model_specs.spec import Variant
from tests.engines.hugging_face.conftest import Edited
from tests.models.vocabulary import byte_level
from tests.vocabularies import vectors

OpenHead = Callable[[Path], DescribedWeights]
CLASSES = ["LlamaTokenizer", "LlamaTokenizerFast", "PreTrainedTokenizerFast", None]
FILES = {
    "v1": "ggml-vocab-deepseek-coder.gguf",
    "v15": "ggml-vocab-deepseek-llm.gguf",
}
VARIANTS = [
    ("v1", "deepseek-coder v1"),
    ("v1", "deepseek-coder-instruct v1"),
    ("v15", "deepseek-coder v1.5"),
    ("v15", "deepseek-coder-instruct v1.5"),
]
FRAGMENTS = st.sampled_from(
    ["<|EOT|>", "<｜fim▁hole｜>", "<｜begin▁of▁sentence｜>", "ü", "õ", "ÿ", "é", "中文", "  ", "\n"]
)
TEXTS = st.lists(FRAGMENTS | st.text(max_size=12)).map("".join)


@pytest.fixture(params=["v1", "v15"])
def version(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def vocabulary(request: pytest.FixtureRequest, version: str) -> Vocabulary:
    folder: Folder = request.getfixturevalue(version)
    return folder.vocabulary


@pytest.fixture(scope="session")
def both(
    v1: Folder,
    open_head: OpenHead,
    deepseek_vocabulary_folder: Path,
    variants: Mapping[str, Variant],
) -> tuple[Tokenizer, Tokenizer]:
    """The folder's tokenizer and llama.cpp's."""
    variant = variants["deepseek-coder v1"]
    other = open_head(deepseek_vocabulary_folder / FILES["v1"]).vocabulary
    return Tokenizer(v1.vocabulary, variant), Tokenizer(other, variant)


@pytest.mark.parametrize("tokenizer_class", CLASSES)
@pytest.mark.parametrize("name", ["deepseek-coder v1", "deepseek-coder-instruct v1"])
def test_the_variant_is_proven_whatever_class_the_configuration_names(
    edited: Edited, variants: Mapping[str, Variant], name: str, tokenizer_class: str | None
) -> None:
    path = edited({"tokenizer_config.json": {"tokenizer_class": tokenizer_class}})
    tokenizer = Tokenizer(Folder.read(path).vocabulary, variants[name])
    assert prove(variants[name], tokenizer.encode, tokenizer.decode) == []


@pytest.mark.parametrize(("version", "name"), VARIANTS)
def test_every_vector_of_llama_cpp_is_reproduced(
    vocabulary: Vocabulary,
    deepseek_vocabulary_folder: Path,
    variants: Mapping[str, Variant],
    version: str,
    name: str,
) -> None:
    tokenizer = Tokenizer(vocabulary, variants[name])
    expected = vectors(deepseek_vocabulary_folder / FILES[version])

    assert [(text, tokenizer.encode([Text(text)])) for text, _ in expected] == expected
    assert [tokenizer.decode(ids) for _, ids in expected] == [text for text, _ in expected]
    assert prove(variants[name], tokenizer.encode, tokenizer.decode) == []


def test_every_token_has_the_bytes_that_llama_cpp_gives_it(
    vocabulary: Vocabulary,
    open_head: OpenHead,
    deepseek_vocabulary_folder: Path,
    version: str,
) -> None:
    other = open_head(deepseek_vocabulary_folder / FILES[version]).vocabulary
    tokens = range(32022 if version == "v1" else 100015)

    assert vocabulary.size == other.size
    assert list(map(vocabulary.piece, tokens)) == list(map(other.piece, tokens))
    assert vocabulary.join(tokens) == other.join(tokens)


@given(text=TEXTS)
def test_texts_have_the_ids_that_llama_cpp_gives_them(
    both: tuple[Tokenizer, Tokenizer], text: str
) -> None:
    mine, others = both
    ids = mine.encode([Content(text)])

    assert ids == others.encode([Content(text)])
    assert mine.decode(ids) == text


def test_added_letters_stand_for_themselves_and_not_for_a_byte(v1: Folder) -> None:
    letters = "õ÷ÁýÀÿøúþüùöû"

    assert [v1.vocabulary.piece(i).decode() for i in range(32000, 32013)] == list(letters)
    assert v1.vocabulary.encode(letters) == list(range(32000, 32013))


def test_rows_beyond_the_tokenizer_belong_to_the_vocabulary_and_have_no_text(v1: Folder) -> None:
    assert v1.vocabulary.size == 32256
    assert v1.vocabulary.join(range(32022, 32256)) == b""
    assert v1.vocabulary.text(32022) == "[PAD32022]"
    assert v1.vocabulary.is_unused(32022)


def test_special_tokens_are_not_read_out_of_a_text(v1: Folder) -> None:
    bos, end_of_turn = "<｜begin▁of▁sentence｜>", "<|EOT|>"

    assert v1.vocabulary.special_tokens[bos] == 32013
    assert 32013 not in v1.vocabulary.encode(bos), "the file marks it as special"
    assert v1.vocabulary.encode(end_of_turn) == [32021], "the file does not"


@pytest.mark.parametrize("text", ["a" * 40_000, " " * 40_000, "!" * 40_000])
def test_a_long_run_of_one_kind_of_character_is_encoded(v1: Folder, text: str) -> None:
    assert v1.vocabulary.join(v1.vocabulary.encode(text)) == text.encode()


def test_a_limit_or_padding_that_was_saved_with_the_tokenizer_is_not_applied(
    edited: Edited,
) -> None:
    truncation = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    padding = {
        "strategy": {"Fixed": 64},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 32014,
        "pad_type_id": 0,
        "pad_token": "<｜end▁of▁sentence｜>",
    }
    path = edited({"tokenizer.json": {"truncation": truncation, "padding": padding}})
    assert len(Folder.read(path).vocabulary.encode("1234567")) == 7


def test_a_token_that_only_the_configuration_adds_is_known(edited: Edited) -> None:
    path = edited(
        {"tokenizer_config.json": {"added_tokens_decoder": {"32022": {"content": "<|new|>"}}}}
    )
    vocabulary = Folder.read(path).vocabulary
    assert vocabulary.encode("<|new|>") == [32022]
    assert vocabulary.piece(32022) == b"<|new|>"
    assert not vocabulary.is_control(32022)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("not JSON", r"tokenizer\.json is not JSON"),
        ("[]", r"tokenizer\.json makes no sense: Expected `object`, got `array`"),
        ({"model": {"type": "BPE"}}, r"tokenizer\.json cannot be loaded"),
        (
            {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"}},
            r"BPE with Metaspace\. Only byte-level BPE",
        ),
        ({"pre_tokenizer": None}, "BPE without a pre-tokenizer"),
        ({"model": {"type": "WordPiece", "vocab": {}}}, "WordPiece with Split"),
        ({"model": {"type": "Unigram", "vocab": []}}, "Unigram with Split"),
        (
            {"pre_tokenizer": byte_level() | {"add_prefix_space": True}},
            "in front of a text",
        ),
        ({"normalizer": {"type": "Prepend", "prepend": "_"}}, "in front of a text"),
    ],
)
def test_a_tokenizer_that_cannot_be_served_is_refused(
    edited: Edited, changes: Mapping[str, object] | str, message: str
) -> None:
    with pytest.raises(ModelLoadError, match=message) as caught:
        Folder.read(edited({"tokenizer.json": changes}))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config.json", {"vocab_size": 32000}, "up to id 32021, but the model has only 32000 rows"),
        ("config.json", {"eos_token_id": 40000}, "up to id 40000, but the model has only 32256"),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"32021": {"content": "<|end|>"}}},
            r"says that token 32021 is '<\|end\|>', but tokenizer\.json says otherwise",
        ),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"32030": {"content": "<|end|>"}}},
            r"says that token 32030 is '<\|end\|>', but tokenizer\.json says otherwise",
        ),
        (
            "tokenizer_config.json",
            {"eos_token": "<|stop|>"},
            r"names '<\|stop\|>' as the eos_token, but tokenizer\.json has no such token",
        ),
        ("tokenizer_config.json", {"bos_token": 7}, r"tokenizer_config\.json makes no sense"),
    ],
)
def test_a_tokenizer_that_does_not_fit_its_configuration_is_refused(
    edited: Edited, file: str, changes: Mapping[str, object], message: str
) -> None:
    with pytest.raises(ModelLoadError, match=message):
        Folder.read(edited({file: changes}))
