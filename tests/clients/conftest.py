"""One real server for all clients, which run in an environment of their own; see `make clients`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.server import Server, write_models

os.environ |= {
    "ANONYMIZED_TELEMETRY": "false",
    "DO_NOT_TRACK": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "NO_PROXY": "127.0.0.1",
}

CONFIG = """
[[models]]
id = "smollm2-135m-instruct"
model_name = "smollm2-instruct"
context_length = 2048
options = { tune = false, draft = false }

[[models]]
id = "tiny-base"
path = "tiny-deepseek-coder.gguf"
family = "deepseek-coder"
context_length = 512
options = { tune = false, flash_attn = "off", type_k = "f32", type_v = "f32" }

[[models]]
id = "tiny-instruct"
path = "tiny-deepseek-coder.gguf"
family = "deepseek-coder-instruct"
context_length = 512
options = { tune = false, flash_attn = "off", type_k = "f32", type_v = "f32" }
"""
"""The tiny models compute as exactly as they can, to be compared with Transformers."""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, home: None) -> Path:
    """A folder with the tiny model as a GGUF file and as a Hugging Face folder, in float32. The
    server knows the file as pulled, too."""
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the server keeps for its user lies in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_DATA_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        yield


@pytest.fixture(scope="session")
def server(models: Path) -> Iterator[Server]:
    """One server of three models: the embedded one and the tiny DeepSeek Coder in both roles."""
    running = Server.start(models, CONFIG)
    yield running
    running.end()
