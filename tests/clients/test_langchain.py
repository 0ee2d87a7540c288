"""LangChain's OpenAI models: chats, texts, streams and what they tell about themselves."""

from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAI

from tests.clients.examples import BODY, GREETING, HEAD, HELLO
from tests.clients.server import BASE, INSTRUCT, Server


def chat_model(server: Server, **fields: Any) -> ChatOpenAI:
    settings = {"model": INSTRUCT, "temperature": 0, "max_retries": 0, **fields}
    return ChatOpenAI(base_url=server.api, api_key="none", **settings)


def text_model(server: Server, **fields: Any) -> OpenAI:
    settings = {"model": BASE, "temperature": 0, "max_retries": 0, "max_tokens": 64, **fields}
    return OpenAI(base_url=server.api, api_key="none", **settings)


def test_a_chat_is_answered_with_its_usage(server: Server) -> None:
    message = chat_model(server).invoke(GREETING)

    assert message.content == HELLO
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.response_metadata["model_name"] == INSTRUCT
    assert message.usage_metadata["input_tokens"] > 0
    assert message.usage_metadata["output_tokens"] > 0


def test_a_conversation_has_all_roles(server: Server) -> None:
    messages = [
        SystemMessage("Call every function node."),
        HumanMessage("Please write a Python function that adds two numbers."),
        AIMessage("```python\ndef node(a, b):\n    return a + b\n```\n"),
        HumanMessage("What is it called?"),
    ]
    assert chat_model(server).invoke(messages).content == "It is called node.\n"


def test_a_chat_is_streamed(server: Server) -> None:
    first, *rest = chat_model(server, stream_usage=True).stream(GREETING)
    whole = first
    for chunk in rest:
        whole += chunk

    assert whole.content == HELLO
    assert whole.response_metadata["model_name"] == INSTRUCT
    assert whole.response_metadata["finish_reason"] == "stop"
    assert whole.usage_metadata["total_tokens"] > 0
    assert len(rest) > 2


async def test_a_chat_is_streamed_without_blocking(server: Server) -> None:
    text = [chunk.content async for chunk in chat_model(server).astream(GREETING)]
    assert "".join(text) == HELLO


async def test_chats_run_side_by_side(server: Server) -> None:
    messages = await chat_model(server).abatch([GREETING] * 6)
    assert {message.content for message in messages} == {HELLO}


def test_a_stop_string_ends_the_answer(server: Server) -> None:
    assert chat_model(server).invoke(GREETING, stop=["!"]).content == "Hello 👋🌍"


def test_a_text_goes_on(server: Server) -> None:
    assert text_model(server).invoke(HEAD) == BODY


def test_a_text_is_streamed(server: Server) -> None:
    pieces = list(text_model(server).stream(HEAD))
    assert "".join(pieces) == BODY


def test_several_texts_are_one_request(server: Server) -> None:
    result = text_model(server, n=2).generate([HEAD, "def sub(a, b):\n"])

    assert [len(texts) for texts in result.generations] == [2, 2]
    assert result.llm_output["token_usage"]["completion_tokens"] > 0


def test_an_unknown_model_is_not_found(server: Server) -> None:
    with pytest.raises(openai.NotFoundError):
        chat_model(server, model="none").invoke(GREETING)
