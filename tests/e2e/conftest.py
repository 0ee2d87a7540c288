"""Servers for the end-to-end tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.server import Server

StartServer = Callable[[str], Server]

EMBEDDED = """
[[models]]
id = "smollm2-135m-instruct"
model_name = "smollm2-instruct"
context_length = 2048
options = { tune = false, draft = false }
"""

TINY = """
[[models]]
id = "tiny-base"
path = "{path}"
family = "deepseek-coder"
context_length = 512
options = {{ tune = false }}

[[models]]
id = "tiny-instruct"
path = "{path}"
family = "deepseek-coder-instruct"
context_length = 512
options = {{ tune = false }}
"""


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers of a test's own, which end with it."""
    started: list[Server] = []

    def start(config: str) -> Server:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Server.start(folder, config))
        return started[-1]

    yield start
    for server in started:
        server.end()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_deepseek_gguf: Path) -> Iterator[Server]:
    """One server of three models: the embedded one and the tiny DeepSeek Coder in both roles."""
    config = EMBEDDED + TINY.format(path=tiny_deepseek_gguf)
    running = Server.start(tmp_path_factory.mktemp("server"), config)
    yield running
    running.end()
    assert running.process.returncode == 0, "SIGTERM ends a server with exit code 0"
