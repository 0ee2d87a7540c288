"""Folders of DeepSeek Coder and the same vocabularies in llama.cpp's hands."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codeserve.engines.hugging_face.folder import Folder
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.spec import Variant
from tests.models.vocabulary import Vocabulary as Rows
from tests.models.vocabulary import byte_level, split

if TYPE_CHECKING:
    from codeserve.engines.llama_cpp.weights import Weights

Changes = Mapping[str, Mapping[str, Any] | str | bytes | None]
Edited = Callable[..., Path]
FLAGS = {"lstrip": False, "rstrip": False, "normalized": True, "single_word": False}


@pytest.fixture(scope="session")
def variants() -> Mapping[str, Variant]:
    """Every variant of the catalogue, by family and name."""
    return {f"{v.family} {v.name}": v for v in Catalog.load().variants()}


@pytest.fixture(scope="session")
def v1(tiny_deepseek_folder: Path) -> Folder:
    return Folder.read(tiny_deepseek_folder)


@pytest.fixture
def edited(tiny_deepseek_folder: Path, tmp_path: Path) -> Edited:
    """A copy of the tiny model's folder, or of another, with other files.

    A mapping changes keys of a JSON file, and None as a value removes one; a text or bytes replace
    a file, and None removes it.
    """

    def edit(changes: Changes, source: Path = tiny_deepseek_folder) -> Path:
        folder = tmp_path / source.name
        folder.mkdir()
        for file in source.iterdir():
            (folder / file.name).symlink_to(file)
        for name, change in changes.items():
            _replace(folder / name, change)
        return folder

    return edit


def _replace(path: Path, change: Mapping[str, Any] | str | bytes | None) -> None:
    old = path.read_bytes() if isinstance(change, Mapping) and path.exists() else b"{}"
    path.unlink(missing_ok=True)
    match change:
        case Mapping():
            content = json.loads(old) | change
            path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
        case str():
            path.write_text(change)
        case bytes():
            path.write_bytes(change)


@pytest.fixture(scope="session")
def v15(
    deepseek_vocabulary_folder: Path,
    tiny_deepseek_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Folder:
    """DeepSeek Coder v1.5's tokenizer and configuration, with weights that are not its own."""
    rows = Rows.read(deepseek_vocabulary_folder / "ggml-vocab-deepseek-llm.gguf")
    folder = tmp_path_factory.mktemp("models") / "v1.5"
    folder.mkdir()
    config = {"architectures": ["LlamaForCausalLM"], "eos_token_id": 100001}
    settings = {
        "tokenizer_class": "LlamaTokenizerFast",
        "add_bos_token": True,
        "bos_token": {"__type": "AddedToken", "content": rows.tokens[100000], **FLAGS},
        "eos_token": {"__type": "AddedToken", "content": rows.tokens[100001], **FLAGS},
    }
    for name, content in {
        "config.json": config | {"vocab_size": 102400, "max_position_embeddings": 4096},
        "tokenizer.json": tokenizer_of_v15(rows),
        "tokenizer_config.json": settings,
    }.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "model.safetensors").symlink_to(tiny_deepseek_folder / "model.safetensors")
    return Folder.read(folder)


def tokenizer_of_v15(rows: Rows) -> dict[str, Any]:
    """Its split rules differ from those of v1: words of cased letters, and Chinese punctuation."""
    ordinary, first_padding = 100000, 100015
    added = range(ordinary, first_padding)
    rules = (
        r"[\r\n]",
        r"\s?[\p{Lu}\p{Ll}\p{Lt}]+",
        r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
        r"\s+$",
        "[一-龥ࠀ-一가-퟿]+",
    )
    digits = {"type": "Digits", "individual_digits": True}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": i, "content": rows.tokens[i], "special": i < 100002, **FLAGS} for i in added
        ],
        "normalizer": {"type": "Sequence", "normalizers": []},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [*map(split, rules), digits, byte_level()],
        },
        "post_processor": byte_level(),
        "decoder": byte_level(),
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token in enumerate(rows.tokens[:ordinary])},
            "merges": rows.merges,
        },
    }


@pytest.fixture(scope="session")
def open_head() -> Iterator[Callable[[Path], "Weights"]]:
    """Opens the metadata and the vocabulary of a GGUF file in llama.cpp."""
    pytest.importorskip("llama_cpp", reason="llama.cpp is in an environment of its own")
    from codeserve.engines.llama_cpp.log import LlamaLog
    from codeserve.engines.llama_cpp.weights import Weights

    with ExitStack() as resources:
        log = resources.enter_context(closing(LlamaLog()))
        yield lambda path: resources.enter_context(closing(Weights.head_of(path, log)))
