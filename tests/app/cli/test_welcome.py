import shlex
import sys
from pathlib import Path

import msgspec
import pytest

from codeserve.app.cli.welcome import command_path, welcome
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.engines.types import EngineInfo
from codeserve.model_specs.spec import Variant

VARIANT = Variant(family="f", name="v", context_length=64, chat_template="{{ messages }}")
INFO = EngineInfo(
    engine="fake",
    engine_version="1",
    device="cpu",
    variant=VARIANT,
    context_length=64,
    max_concurrency=1,
    trained_context_length=64,
    vocab_size=1,
    parameters=1,
    weights_bytes=1,
)
STATUS = ModelStatus(
    id="it's",
    state=ModelState.READY,
    created=0,
    spec={},
    engine="fake",
    engine_reason="the settings name it",
    info=INFO,
)


def without_chat(status: ModelStatus) -> ModelStatus:
    base = msgspec.structs.replace(VARIANT, chat_template=None)
    return msgspec.structs.replace(status, info=msgspec.structs.replace(INFO, variant=base))


@pytest.mark.parametrize(
    ("status", "path", "method"),
    [
        (STATUS, "/v1/chat/completions", "client.chat.completions.create("),
        (without_chat(STATUS), "/v1/completions", "client.completions.create("),
    ],
)
def test_a_model_is_asked_in_a_way_that_it_can_answer(
    status: ModelStatus, path: str, method: str
) -> None:
    text = welcome("http://127.0.0.1:8000", [status])
    assert f"curl -N http://127.0.0.1:8000{path} " in text
    assert method in text


def test_each_model_is_shown_with_its_engine_and_why() -> None:
    text = welcome("http://127.0.0.1:8000", [STATUS])
    assert "\nit's runs on fake: the settings name it.\n" in text


def test_the_curl_is_one_shell_command_whatever_the_model_is_called() -> None:
    text = welcome("http://127.0.0.1:8000", [STATUS])
    command = text[text.index("curl -N") : text.index("Or with Python")]
    *_, data = shlex.split(command)
    body = msgspec.json.decode(data)
    assert (body["model"], body["stream"]) == ("it's", True)


def test_the_python_snippet_is_python() -> None:
    text = welcome("http://127.0.0.1:8000", [STATUS])
    snippet = text[text.index("from openai") : text.index("To serve")]
    compile(snippet, "snippet", "exec")


def test_a_command_below_the_working_directory_is_named_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / ".venv" / "bin" / "codeserve-here"
    command.parent.mkdir(parents=True)
    command.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(command)])
    monkeypatch.chdir(tmp_path)
    assert command_path() == ".venv/bin/codeserve-here"
    monkeypatch.chdir("/")
    assert command_path() == str(command.relative_to("/"))
    monkeypatch.setenv("PATH", str(command.parent))
    assert command_path() == "codeserve-here"


def test_a_model_on_demand_says_that_it_loads_later() -> None:
    waiting = msgspec.structs.replace(STATUS, state=ModelState.UNLOADED, info=None)
    text = welcome("http://127.0.0.1:8000", [waiting])
    assert "it's loads with its first request, on fake.\n" in text
    assert "/v1/completions" in text
