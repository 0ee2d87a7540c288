"""OpenAI's client for Node.js: each file of JavaScript tests runs against the server."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.server import Server

HERE = Path(__file__).parent


@pytest.fixture
def node() -> str:
    """The command; CI must have it."""
    found = shutil.which("node")
    if found is None and "CI" not in os.environ:
        pytest.skip("Node.js (the command 'node', version 20 or newer) is not installed")
    assert found, "Node.js (the command 'node', version 20 or newer) is not installed"
    return found


@pytest.mark.parametrize("file", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_the_node_client_works(server: Server, node: str, file: str) -> None:
    run = subprocess.run(
        [node, "--test", "--test-reporter=spec", file],
        cwd=HERE,
        env={**os.environ, "OPENAI_BASE_URL": server.api},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "ℹ fail 0" in run.stdout
    assert "ℹ skipped 0" in run.stdout
