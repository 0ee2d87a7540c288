"""Xinference's client chooses a model's handle by what the server says of the model."""

from collections.abc import Iterator

import pytest
from xinference_client import RESTfulClient

from tests.clients.examples import BODY, GREETING_TURN, HEAD, HELLO
from tests.clients.server import BASE, INSTRUCT, Server

GREEDY = {"temperature": 0, "max_tokens": 64}


@pytest.fixture
def client(server: Server) -> Iterator[RESTfulClient]:
    client = RESTfulClient(server.url)
    yield client
    client.close()


def test_a_base_model_generates(client: RESTfulClient) -> None:
    model = client.get_model(BASE)
    assert not hasattr(model, "chat")
    assert model.generate(HEAD, generate_config=GREEDY)["choices"][0]["text"] == BODY


def test_an_instruct_model_chats(client: RESTfulClient) -> None:
    model = client.get_model(INSTRUCT)
    answer = model.chat(GREETING_TURN, generate_config=GREEDY)
    assert answer["choices"][0]["message"]["content"] == HELLO


def test_a_model_is_described(client: RESTfulClient) -> None:
    described = client.describe_model(BASE)
    assert described["model_type"] == "LLM"
    assert described["model_ability"] == ["generate"]
    assert described["context_length"] == 512
