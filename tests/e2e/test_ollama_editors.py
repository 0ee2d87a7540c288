"""Requests of editors that speak Ollama's API, with what they assert of the replies."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.server import Server

FIM_BEGIN, FIM_HOLE, FIM_END = "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"
PREFIX, SUFFIX, MIDDLE = "def add(a, b):\n    ", "\n    return value\n", "value = a + b"
MODELFILE_PARAMETER = re.compile(r'^(\S+)\s+((?:".*")|\S+)$')
REQUEST = "Please write a Python function called total that adds two numbers."
HELLO = "Hello! How can I help you with your code?\n"


@pytest.fixture
def ollama(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def lines(client: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def show(client: httpx.Client, body: dict[str, str]) -> dict[str, Any]:
    shown: dict[str, Any] = client.post("/api/show", json=body).json()
    return shown


def test_twinny_sends_a_ready_made_hole_without_raw(ollama: httpx.Client) -> None:
    body = {
        "model": "tiny-base",
        "prompt": f"{FIM_BEGIN}{PREFIX}{FIM_HOLE}{SUFFIX}{FIM_END}",
        "stream": True,
        "keep_alive": "5m",
        "options": {
            "temperature": 0,
            "num_predict": 512,
            "stop": ["<｜fim begin｜>", "<｜fim hole｜>", "<｜fim end｜>", "<END>"],
        },
    }
    *pieces, last = lines(ollama, "/api/generate", body)
    assert "".join(piece["response"] for piece in pieces) == MIDDLE
    assert isinstance(last["response"], str)
    assert last["prompt_eval_count"] > 0
    assert last["eval_count"] > 0


def test_twinny_sends_a_chat_that_it_has_rendered(ollama: httpx.Client) -> None:
    body = {
        "model": "tiny-instruct",
        "prompt": f"Be brief.### Instruction:\n{REQUEST}\n### Response:\n",
        "stream": True,
        "keep_alive": -1,
        "raw": True,
        "options": {"temperature": 0, "num_predict": -1},
    }
    *pieces, last = lines(ollama, "/api/generate", body)
    assert "def total(" in "".join(piece["response"] for piece in pieces)
    assert last["done_reason"] == "stop"


def test_continue_finds_out_about_the_hole_and_the_context(ollama: httpx.Client) -> None:
    shown = show(ollama, {"name": "tiny-base"})
    assert ".Suffix" in shown["template"]
    parameters = [MODELFILE_PARAMETER.match(line) for line in shown["parameters"].split("\n")]
    assert [match.groups() for match in parameters if match] == [("num_ctx", "512")]
    assert None not in parameters
    assert ".Suffix" not in show(ollama, {"name": "smollm2-135m-instruct"})["template"]


def test_continue_has_a_hole_filled(ollama: httpx.Client) -> None:
    body = {
        "model": "tiny-base",
        "prompt": PREFIX,
        "suffix": SUFFIX,
        "options": {
            "temperature": 0.01,
            "num_predict": 256,
            "num_ctx": 4096,
            "stop": [FIM_BEGIN, FIM_HOLE, FIM_END, "//", "<｜end▁of▁sentence｜>", "```"],
        },
        "keep_alive": 1800,
        "stream": True,
    }
    assert "".join(line["response"] for line in lines(ollama, "/api/generate", body)) == MIDDLE


def test_continue_chats(ollama: httpx.Client) -> None:
    body = {
        "model": "tiny-instruct",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": REQUEST},
        ],
        "options": {"temperature": 0, "num_predict": 128, "num_ctx": 4096},
        "keep_alive": 1800,
        "stream": True,
    }
    replies = lines(ollama, "/api/chat", body)
    assert {reply["message"]["role"] for reply in replies} == {"assistant"}
    assert "def total(" in "".join(reply["message"]["content"] for reply in replies)


def test_zed_lists_models_and_asks_what_they_can_do(ollama: httpx.Client) -> None:
    listed = {model["name"]: model for model in ollama.get("/api/tags").json()["models"]}
    model = listed["tiny-base"]
    assert all(isinstance(model[field], str) for field in ("modified_at", "digest"))
    assert model["size"] > 0
    details = {"format", "family", "parameter_size", "quantization_level"}
    assert all(isinstance(model["details"][field], str) for field in details)
    assert show(ollama, {"model": "tiny-base"})["capabilities"] == ["completion", "insert"]
    instruct = show(ollama, {"model": "tiny-instruct"})
    assert instruct["capabilities"] == ["completion", "tools"]


@pytest.mark.parametrize("stream", [False, True])
def test_zed_chats_with_and_without_tools(ollama: httpx.Client, stream: bool) -> None:
    """It takes a message of role, content, images, thinking and calls, and knows no others."""
    tool = {"type": "function", "function": {"name": "now", "description": "The time"}}
    body = {
        "model": "tiny-instruct",
        "messages": [{"role": "user", "content": "Hello!"}],
        "stream": stream,
        "keep_alive": -1,
        "options": {
            "num_ctx": 16384,
            "num_predict": 64,
            "stop": [],
            "temperature": 0.0,
            "top_p": None,
        },
        "tools": [] if stream else [tool],
        "think": None if stream else False,
    }
    replies = lines(ollama, "/api/chat", body)
    assert all(reply["created_at"] and reply["model"] for reply in replies)
    known = {"role", "content", "images", "thinking", "tool_calls"}
    assert all(set(reply["message"]) <= known for reply in replies)
    assert all(isinstance(reply["message"]["content"], str) for reply in replies)
    assert replies[-1]["done"] is True
    assert replies[-1]["prompt_eval_count"] > 0


def test_a_copilot_reads_the_context_of_the_architecture(ollama: httpx.Client) -> None:
    info = show(ollama, {"model": "tiny-instruct"})["model_info"]
    assert info[f"{info['general.architecture']}.context_length"] == 512
    assert info["general.basename"] == "tiny-instruct"


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
def test_a_format_rules_the_output(ollama: httpx.Client, path: str) -> None:
    schema = {
        "type": "object",
        "properties": {"language": {"enum": ["python", "c"]}},
        "required": ["language"],
        "additionalProperties": False,
    }
    body = {
        "model": "tiny-instruct",
        "prompt": "Hello!",
        "messages": [{"role": "user", "content": "Hello!"}],
        "format": schema,
        "stream": False,
    }
    [reply] = lines(ollama, path, body)
    written = reply["message"]["content"] if path == "/api/chat" else reply["response"]
    assert json.loads(written)["language"] in ("python", "c")


def test_a_prompt_without_raw_is_a_turn_of_a_chat(ollama: httpx.Client) -> None:
    body = {"model": "tiny-instruct", "prompt": "Hello!", "stream": False}
    [reply] = lines(ollama, "/api/generate", {**body, "options": {"temperature": 0}})
    assert reply["response"] == HELLO
