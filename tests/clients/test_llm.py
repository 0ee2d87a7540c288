"""The command ``llm``, told of the server by its own file of extra models."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.examples import BODY, GREETING, HEAD, HELLO
from tests.clients.server import BASE, INSTRUCT, Server

MODELS = """
- model_id: chat
  model_name: {instruct}
  api_base: "{api}"
- model_id: text
  model_name: {base}
  api_base: "{api}"
  completion: true
- model_id: unknown
  model_name: none
  api_base: "{api}"
"""

Llm = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def llm(server: Server, tmp_path: Path) -> Llm:
    """Runs the command with a folder of its own for its settings and logs."""
    models = MODELS.format(instruct=INSTRUCT, base=BASE, api=server.api)
    (tmp_path / "extra-openai-models.yaml").write_text(models)

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [Path(sys.executable).parent / "llm", *arguments],
            env={**os.environ, "LLM_USER_PATH": str(tmp_path), "OPENAI_API_KEY": "none"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.mark.parametrize("stream", [[], ["--no-stream"]], ids=["streamed", "whole"])
def test_a_prompt_is_answered(llm: Llm, stream: list[str]) -> None:
    answer = llm("-m", "chat", "-o", "temperature", "0", *stream, GREETING)
    assert answer.stdout.startswith(HELLO), answer.stderr


def test_a_conversation_goes_on(llm: Llm) -> None:
    greedy = ("-o", "temperature", "0")
    first = llm("-m", "chat", *greedy, "Write a function that checks if level equals count.")
    second = llm("-c", *greedy, "Change it so that it checks if level is greater than count.")

    assert "level == count" in first.stdout, first.stderr
    assert "level > count" in second.stdout, second.stderr


def test_a_text_goes_on(llm: Llm) -> None:
    answer = llm("-m", "text", "-o", "temperature", "0", HEAD)
    assert answer.stdout.startswith(BODY), answer.stderr


def test_an_unknown_model_is_told(llm: Llm) -> None:
    answer = llm("-m", "unknown", "Hi")
    assert answer.returncode != 0
    assert "model `none`" in answer.stderr or "model 'none'" in answer.stderr
