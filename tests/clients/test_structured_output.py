"""Structured output: answers that match a schema, read into objects by the clients."""

from collections.abc import Iterator
from typing import Any

import litellm
import openai
import pytest
from langchain_openai import ChatOpenAI

from tests.clients.examples import QUESTION, Place
from tests.clients.server import EMBEDDED, Server

MESSAGES: Any = [{"role": "user", "content": QUESTION}]
ASKED: Any = {"model": EMBEDDED, "messages": MESSAGES, "temperature": 0, "max_tokens": 128}


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.api, api_key="none", max_retries=0) as client:
        yield client


def test_an_answer_is_parsed(client: openai.OpenAI) -> None:
    [choice] = client.chat.completions.parse(**ASKED, response_format=Place).choices
    assert isinstance(choice.message.parsed, Place)
    assert choice.finish_reason == "stop"


def test_a_streamed_answer_is_parsed(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(**ASKED, response_format=Place) as stream:
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Place)


def test_every_choice_matches_the_schema(client: openai.OpenAI) -> None:
    hot = ASKED | {"temperature": 2, "n": 4}
    choices = client.chat.completions.parse(**hot, response_format=Place).choices
    assert all(isinstance(choice.message.parsed, Place) for choice in choices)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_bad_schema_is_refused_before_anything_is_said(
    client: openai.OpenAI, stream: bool
) -> None:
    schema = {"name": "place", "schema": {"type": "nonsense"}, "strict": True}
    asked = ASKED | {"response_format": {"type": "json_schema", "json_schema": schema}}
    with pytest.raises(openai.BadRequestError, match="nonsense") as refused:
        client.chat.completions.create(**asked, stream=stream)
    assert refused.value.code != "unsupported_parameter"


def test_vllms_field_chooses_among_words(client: openai.OpenAI) -> None:
    words = ["Paris", "Rome"]
    chat = client.chat.completions.create(
        **ASKED, extra_body={"structured_outputs": {"choice": words}}
    )
    assert chat.choices[0].message.content in words


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_langchain_returns_an_object(server: Server, method: Any) -> None:
    model = ChatOpenAI(
        base_url=server.api,
        api_key="none",
        model=EMBEDDED,
        temperature=0,
        max_tokens=128,
        max_retries=0,
    )
    structured = model.with_structured_output(Place, method=method)
    assert isinstance(structured.invoke(QUESTION), Place)


def test_litellm_returns_an_object_as_json(server: Server) -> None:
    answer = litellm.completion(
        **ASKED | {"model": f"openai/{EMBEDDED}"},
        response_format=Place,
        api_base=server.api,
        api_key="none",
    )
    assert Place.model_validate_json(answer.choices[0].message.content)
