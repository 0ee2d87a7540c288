import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from codeserve.engines.hugging_face.folder import Folder
from codeserve.engines.hugging_face.tokenizer_folder import write_tokenizer
from codeserve.model_specs.spec import Variant
from tests.engines.hugging_face.conftest import Edited


@pytest.fixture
def variant(variants: Mapping[str, Variant]) -> Variant:
    return variants["deepseek-coder-instruct v1"]


@pytest.fixture
def as_published(edited: Edited) -> Path:
    return edited({"tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer"}})


def load(folder: Path) -> Any:
    """The tokenizer as Transformers, and vLLM by it, load it."""
    transformers = pytest.importorskip("transformers", reason="it is in the engines' environments")
    return transformers.AutoTokenizer.from_pretrained(str(folder))


def test_the_written_tokenizer_names_a_class_and_the_tokens_of_the_variant(
    v1: Folder, variant: Variant, tmp_path: Path
) -> None:
    written = write_tokenizer(v1, variant, tmp_path / "new" / "tokenizer")
    settings = json.loads((written / "tokenizer_config.json").read_text())

    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert settings["bos_token"] == "<｜begin▁of▁sentence｜>"
    assert settings["eos_token"] == "<|EOT|>"


def test_the_written_tokenizer_is_the_same_with_the_control_tokens_marked(
    v1: Folder, variant: Variant, tmp_path: Path
) -> None:
    before = json.loads((v1.path / "tokenizer.json").read_text())
    after = json.loads((write_tokenizer(v1, variant, tmp_path) / "tokenizer.json").read_text())
    special = {token["id"] for token in after["added_tokens"] if token["special"]}

    assert special == set(range(32013, 32022))
    for tokenizer in (before, after):
        for token in tokenizer["added_tokens"]:
            del token["special"]
    assert after["added_tokens"] == before["added_tokens"]
    assert after["model"]["vocab"] == before["model"]["vocab"]
    assert after["pre_tokenizer"] == before["pre_tokenizer"]


def test_transformers_loads_the_written_tokenizer_right(
    as_published: Path, variant: Variant, tmp_path: Path
) -> None:
    tokenizer = load(write_tokenizer(Folder.read(as_published), variant, tmp_path / "written"))

    for vector in variant.golden.encode:
        ids = tokenizer.encode(vector.text, add_special_tokens=False, split_special_tokens=True)
        assert (vector.text, ids) == (vector.text, list(vector.ids))
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (32013, 32021)
    assert tokenizer.decode([17535, 32021, 32014], skip_special_tokens=True) == "Hello"


def test_transformers_loads_the_published_folder_wrongly(
    as_published: Path, variant: Variant
) -> None:
    tokenizer = load(as_published)

    assert tokenizer.encode("Hello world", add_special_tokens=False) != [17535, 1835]
    assert tokenizer.decode(tokenizer.encode("a\nb", add_special_tokens=False)) != "a\nb"
