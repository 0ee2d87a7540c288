"""Bodies for the completion routes of llama.cpp, Mistral and DeepSeek."""

import json
from typing import Any

import httpx
import pytest

from tests.e2e.recorded.editor import BASE, MARKED, MIDDLE, PREFIX, SUFFIX, ask, chunks, events
from tests.e2e.server import Server

TABBY_LLAMA_CPP = {
    "model": BASE,
    "seed": 0,
    "prompt": MARKED,
    "n_predict": 256,
    "temperature": 0.1,
    "stream": True,
    "penalty_last_n": 0,
    "presence_penalty": 0.0,
}
CONTINUE_LLAMA_CPP = {
    "model": BASE,
    "prompt": MARKED,
    "n_predict": 256,
    "frequency_penalty": None,
    "presence_penalty": None,
    "min_p": None,
    "mirostat": None,
    "stop": ["<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "```"],
    "top_k": None,
    "top_p": None,
    "temperature": 0.01,
    "stream": True,
}
PROXYAI_LLAMA_CPP = {
    "model": BASE,
    "prompt": MARKED,
    "n_predict": 128,
    "stream": False,
    "temperature": 0.1,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.05,
    "repeat_penalty": 1.0,
    "stop": ["<|EOT|>", "<｜end▁of▁sentence｜>"],
}
PLACE = {"model": BASE, "prompt": PREFIX, "suffix": SUFFIX, "stream": True}
DEEPSEEK = {
    "Continue": PLACE
    | {"max_tokens": 4096, "temperature": 0.01, "stop": ["//", "```"], "top_p": None},
    "Tabby": PLACE | {"max_tokens": 256, "temperature": 0.1, "presence_penalty": 0.0},
    "minuet": PLACE | {"max_tokens": 256, "top_p": 0.1},
}
MISTRAL = {
    "Continue": PLACE | {"max_tokens": 4096, "temperature": 0.01, "stop": ["//", "```"]},
    "Tabby": PLACE
    | {"max_tokens": 256, "temperature": 0.1, "presence_penalty": 0.0, "random_seed": 7},
    "minuet": PLACE | {"max_tokens": 256, "stop": ["\n\n"], "temperature": 0.01},
    "ProxyAI": PLACE | {"max_tokens": 128, "temperature": 0.1, "stop": ["<|EOT|>"]},
}


@pytest.mark.parametrize("body", [TABBY_LLAMA_CPP, CONTINUE_LLAMA_CPP], ids=["Tabby", "Continue"])
def test_llama_cpps_events_have_a_content_and_a_stop(server: Server, body: dict[str, Any]) -> None:
    told = [json.loads(data) for data in events(ask(server, "/completion", body))]

    assert all(isinstance(event["content"], str) for event in told)
    assert [event["stop"] for event in told] == [False] * (len(told) - 1) + [True]
    assert "".join(event["content"] for event in told) == MIDDLE


def test_llama_cpps_whole_completion_has_a_content(server: Server) -> None:
    reply = ask(server, "/completion", PROXYAI_LLAMA_CPP).json()

    assert reply["content"] == MIDDLE
    assert reply["stop"] is True


@pytest.mark.parametrize("client", DEEPSEEK)
def test_deepseeks_route_answers_as_completions_do(server: Server, client: str) -> None:
    read = chunks(ask(server, "/beta/completions", DEEPSEEK[client]))

    assert all(isinstance(chunk["choices"][0]["text"], str) for chunk in read)
    assert "".join(chunk["choices"][0]["text"] for chunk in read) == MIDDLE
    assert read[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("client", MISTRAL)
def test_mistrals_route_answers_as_chats_do(server: Server, client: str) -> None:
    read = chunks(ask(server, "/v1/fim/completions", MISTRAL[client]))
    contents = [chunk["choices"][0]["delta"]["content"] for chunk in read]

    assert all(isinstance(content, str) for content in contents), "Tabby reads it in every chunk"
    assert "".join(contents) == MIDDLE
    assert read[-1]["choices"][0]["finish_reason"] == "stop"


def test_mistrals_whole_answer_is_a_message(server: Server) -> None:
    reply = ask(server, "/v1/fim/completions", MISTRAL["Tabby"] | {"stream": False}).json()
    assert reply["choices"][0]["message"]["content"] == MIDDLE


def test_an_editors_old_route_names_the_model_in_its_path(server: Server) -> None:
    body = {"prompt": PREFIX, "suffix": SUFFIX, "temperature": 0, "max_tokens": 64}
    reply = ask(server, f"/v1/engines/{BASE}/completions", body).json()
    assert reply["choices"][0]["text"] == MIDDLE


@pytest.mark.parametrize("path", ["/completion", "/beta/completions", "/v1/fim/completions"])
def test_every_route_refuses_an_unknown_model_alike(server: Server, path: str) -> None:
    body = PLACE | {"model": "none"}
    response = httpx.post(f"{server.url}{path}", json=body, timeout=60)

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
