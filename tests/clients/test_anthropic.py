"""Anthropic's client: messages, streams, tools and errors."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.clients.examples import GREETING, GREETING_TURN, HELLO, QUESTION, WEATHER, Place
from tests.clients.server import EMBEDDED, INSTRUCT, Server

ASKED: Any = {
    "model": INSTRUCT,
    "max_tokens": 64,
    "messages": GREETING_TURN,
    "extra_body": {"temperature": 0},
}
TOOL: Any = {
    "name": WEATHER,
    "description": "The current weather of a city.",
    "input_schema": Place.model_json_schema(),
}
ASKED_FOR_WEATHER: Any = {
    "model": EMBEDDED,
    "max_tokens": 128,
    "messages": [{"role": "user", "content": QUESTION}],
    "extra_body": {"temperature": 0},
    "tools": [TOOL],
}


@pytest.fixture
def client(server: Server) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(server: Server) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=server.url, api_key="none", max_retries=0
    ) as client:
        yield client


def test_a_message_is_answered(client: anthropic.Anthropic) -> None:
    message = client.messages.create(**ASKED)

    assert [(block.type, block.text) for block in message.content] == [("text", HELLO)]
    assert message.role == "assistant"
    assert message.model == INSTRUCT
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


def test_blocks_of_text_are_read(client: anthropic.Anthropic) -> None:
    blocks = [{"type": "text", "text": GREETING}]
    message = client.messages.create(**ASKED | {"messages": [{"role": "user", "content": blocks}]})
    assert message.content[0].text == HELLO


@pytest.mark.parametrize(
    "system", ["Be brief.", [{"type": "text", "text": "Be brief."}]], ids=["text", "blocks"]
)
def test_the_system_prompt_is_the_chats(
    client: anthropic.Anthropic, server: Server, system: Any
) -> None:
    message = client.messages.create(**ASKED, system=system)
    turns: Any = [{"role": "system", "content": "Be brief."}, *GREETING_TURN]
    with openai.OpenAI(base_url=server.api, api_key="none", max_retries=0) as other:
        chat = other.chat.completions.create(model=INSTRUCT, messages=turns, max_tokens=1)

    used = message.usage
    cached = (used.cache_read_input_tokens or 0) + (used.cache_creation_input_tokens or 0)
    assert chat.usage is not None
    assert used.input_tokens + cached == chat.usage.prompt_tokens


def test_a_stop_sequence_is_named(client: anthropic.Anthropic) -> None:
    message = client.messages.create(**ASKED, stop_sequences=["never", "!"])

    assert message.content[0].text == HELLO.partition("!")[0]
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "!")


def test_an_answer_cut_off_says_so(client: anthropic.Anthropic) -> None:
    message = client.messages.create(**ASKED | {"max_tokens": 2})
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 2


def test_a_message_is_streamed(client: anthropic.Anthropic) -> None:
    with client.messages.stream(**ASKED) as stream:
        text = list(stream.text_stream)
        message = stream.get_final_message()

    assert "".join(text) == HELLO
    assert len(text) > 2
    assert message.content[0].text == HELLO
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 0


def test_events_come_in_order(client: anthropic.Anthropic) -> None:
    kinds = [event.type for event in client.messages.create(**ASKED, stream=True)]

    assert list(dict.fromkeys(kind for kind in kinds if kind != "ping")) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_the_async_client_streams(async_client: anthropic.AsyncAnthropic) -> None:
    async with async_client.messages.stream(**ASKED) as stream:
        assert "".join([text async for text in stream.text_stream]) == HELLO


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "any", "disable_parallel_tool_use": True},
        {"type": "tool", "name": WEATHER},
    ],
    ids=["any", "named"],
)
def test_a_tool_is_used(client: anthropic.Anthropic, choice: Any) -> None:
    message = client.messages.create(**ASKED_FOR_WEATHER, tool_choice=choice)
    used = next(block for block in message.content if block.type == "tool_use")

    assert used.name == WEATHER
    assert used.id
    assert Place.model_validate(used.input)
    assert message.stop_reason == "tool_use"


def test_the_use_of_a_tool_is_streamed(client: anthropic.Anthropic) -> None:
    with client.messages.stream(**ASKED_FOR_WEATHER, tool_choice={"type": "any"}) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        message = stream.get_final_message()
    used = next(block for block in message.content if block.type == "tool_use")

    assert pieces
    assert Place.model_validate(used.input)


def test_the_result_of_a_tool_goes_into_the_next_turn(client: anthropic.Anthropic) -> None:
    first = client.messages.create(**ASKED_FOR_WEATHER, tool_choice={"type": "any"})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "21 degrees"}
        for block in first.content
        if block.type == "tool_use"
    ]
    messages = [
        *ASKED_FOR_WEATHER["messages"],
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    second = client.messages.create(
        **ASKED_FOR_WEATHER | {"messages": messages, "tool_choice": {"type": "none"}}
    )

    assert second.content[0].type == "text"
    assert second.usage.input_tokens > 0


def test_errors_have_their_classes(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.messages.create(**ASKED | {"model": "none"})
    assert unknown.value.body["type"] == "error"
    assert unknown.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError) as long:
        client.messages.create(**ASKED | {"messages": [{"role": "user", "content": "word " * 600}]})
    assert long.value.body["error"]["type"] == "invalid_request_error"
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(**ASKED | {"messages": []})
