"""Xinference's client: the models that are served, and their handles."""

from collections.abc import Iterator

import pytest
from xinference_client import RESTfulClient
from xinference_client.client.restful.restful_client import (
    RESTfulChatModelHandle,
    RESTfulGenerateModelHandle,
)

from tests.clients.examples import BODY, GREETING_TURN, HEAD, HELLO
from tests.clients.server import BASE, INSTRUCT, Server

GREEDY = {"temperature": 0, "max_tokens": 64}


@pytest.fixture
def client(server: Server) -> Iterator[RESTfulClient]:
    client = RESTfulClient(server.url)
    yield client
    client.close()


@pytest.fixture
def base(server: Server) -> RESTfulGenerateModelHandle:
    return RESTfulGenerateModelHandle(BASE, server.url, {})


@pytest.fixture
def instruct(server: Server) -> RESTfulChatModelHandle:
    return RESTfulChatModelHandle(INSTRUCT, server.url, {})


def test_models_are_listed(client: RESTfulClient) -> None:
    models = client.list_models()
    assert {BASE, INSTRUCT} <= set(models)
    assert models[BASE]["context_length"] == 512


def test_a_text_goes_on(base: RESTfulGenerateModelHandle) -> None:
    answer = base.generate(HEAD, generate_config=GREEDY)
    assert answer["choices"][0]["text"] == BODY


def test_a_text_is_streamed(base: RESTfulGenerateModelHandle) -> None:
    chunks = list(base.generate(HEAD, generate_config=GREEDY | {"stream": True}))
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == BODY


def test_a_chat_is_answered(instruct: RESTfulChatModelHandle) -> None:
    answer = instruct.chat(GREETING_TURN, generate_config=GREEDY)
    assert answer["choices"][0]["message"]["content"] == HELLO


def test_a_chat_is_streamed(instruct: RESTfulChatModelHandle) -> None:
    chunks = list(instruct.chat(GREETING_TURN, generate_config=GREEDY | {"stream": True}))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content", "") for delta in deltas) == HELLO


def test_a_refusal_is_a_runtime_error(instruct: RESTfulChatModelHandle) -> None:
    with pytest.raises(RuntimeError, match="400"):
        instruct.chat([], generate_config=GREEDY)
