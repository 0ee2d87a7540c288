import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from codeserve.app.cli.chat import Conversation
from codeserve.app.cli.client import ServerClient
from codeserve.app.cli.main import build_cli

COMMAND = Path(sys.executable).with_name("codeserve")


def test_one_message_gets_one_answer(server: Any) -> None:
    arguments = ["chat", "--url", server.url, "--model", "short", "hi"]
    result = CliRunner().invoke(build_cli(), arguments)
    assert (result.exit_code, result.output) == (0, "Grüße aus Köln 🙂\n")


def test_a_message_may_come_from_stdin(server: Any) -> None:
    arguments = ["chat", "--url", server.url, "--model", "short", "--system", "x"]
    result = CliRunner().invoke(build_cli(), arguments, input="hi")
    assert result.exit_code == 0
    assert result.output.startswith("Grüße")


def test_a_conversation_remembers_what_was_said(server: Any) -> None:
    with ServerClient(server.url) as client:
        conversation = Conversation(client, "short", system=None)
        assert "".join(conversation.ask("a")).startswith("Grüße")
        with pytest.raises(typer.Exit):  # Both turns are more than the model's window.
            list(conversation.ask("b"))


def test_another_conversation_has_a_memory_of_its_own(server: Any) -> None:
    with ServerClient(server.url) as client:
        for _ in range(2):
            assert list(Conversation(client, "short", system=None).ask("a"))


def read_until(terminal: int, end: str) -> str:
    shown = b""
    while not shown.decode(errors="replace").endswith(end):
        shown += os.read(terminal, 1024)
    return shown.decode()


def test_a_terminal_gets_a_conversation_until_the_end_of_input(server: Any) -> None:
    terminal, typed = pty.openpty()
    command = [COMMAND, "chat", "--url", server.url, "--model", "short"]
    with subprocess.Popen(command, stdin=typed, stdout=typed, stderr=typed) as talking:
        os.close(typed)
        read_until(terminal, "> ")
        os.write(terminal, b"a\n")
        assert "Köln" in read_until(terminal, "> ")
        os.write(terminal, b"\x04")
        assert talking.wait(30) == 0
    os.close(terminal)
