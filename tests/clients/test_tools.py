"""Tools: OpenAI's client and LangChain let the embedded model call a function."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from langchain_openai import ChatOpenAI

from tests.clients.examples import QUESTION, WEATHER, WEATHER_TOOL, Place
from tests.clients.server import EMBEDDED, Server

NAMED = {"type": "function", "function": {"name": WEATHER}}
ASKED: Any = {
    "model": EMBEDDED,
    "messages": [{"role": "user", "content": QUESTION}],
    "tools": [WEATHER_TOOL],
    "temperature": 0,
    "max_tokens": 128,
}


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.api, api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("tool_choice", ["required", NAMED], ids=["required", "named"])
def test_a_tool_is_called(client: openai.OpenAI, tool_choice: Any) -> None:
    [choice] = client.chat.completions.create(
        **ASKED, tool_choice=tool_choice, parallel_tool_calls=False
    ).choices

    assert choice.message.tool_calls
    call: Any = choice.message.tool_calls[0]
    assert call.type == "function"
    assert call.id
    assert call.function.name == WEATHER
    assert Place.model_validate_json(call.function.arguments)
    assert choice.finish_reason in ("tool_calls", "stop")


def test_no_tool_is_called_where_none_may_be(client: openai.OpenAI) -> None:
    [choice] = client.chat.completions.create(**ASKED, tool_choice="none").choices

    assert choice.message.tool_calls is None
    assert choice.message.content


def test_a_call_is_streamed_piece_by_piece(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        **ASKED, tool_choice="required", parallel_tool_calls=False
    ) as stream:
        pieces = [
            event.arguments_delta
            for event in stream
            if event.type == "tool_calls.function.arguments.delta"
        ]
        [choice] = stream.get_final_completion().choices

    assert choice.message.tool_calls
    call = choice.message.tool_calls[0]
    assert call.function.name == WEATHER
    assert Place.model_validate_json(call.function.arguments)
    assert "".join(pieces) == call.function.arguments


def test_one_call_where_parallel_ones_are_not_wanted(client: openai.OpenAI) -> None:
    [choice] = client.chat.completions.create(
        **ASKED, tool_choice="required", parallel_tool_calls=False
    ).choices
    assert choice.message.tool_calls
    assert len(choice.message.tool_calls) == 1


def test_the_result_of_a_call_goes_into_the_next_turn(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(**ASKED, tool_choice="required").choices[0].message
    assert first.tool_calls
    called = {
        "role": "assistant",
        "content": None,
        "tool_calls": [call.model_dump() for call in first.tool_calls],
    }
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 21}'}
        for call in first.tool_calls
    ]
    messages = [*ASKED["messages"], called, *results]
    second = client.chat.completions.create(**ASKED | {"messages": messages, "tool_choice": "none"})
    without = client.chat.completions.create(
        **ASKED | {"messages": [*ASKED["messages"], called], "tool_choice": "none"}
    )

    assert second.choices[0].message.content
    assert second.usage is not None
    assert without.usage is not None
    assert second.usage.prompt_tokens > without.usage.prompt_tokens


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": {"type": "function", "function": {"name": "unknown"}}},
        {"tool_choice": "sometimes"},
        {"tools": [], "tool_choice": "required"},
        {"tools": [{"type": "function"}]},
    ],
    ids=["unknown name", "unknown word", "no tools", "no function"],
)
def test_a_choice_that_cannot_be_made_is_refused(
    client: openai.OpenAI, fields: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError, match="tool") as refused:
        client.chat.completions.create(**ASKED | fields)
    assert refused.value.code != "unsupported_parameter"


@pytest.fixture
def langchain(server: Server) -> Any:
    model = ChatOpenAI(
        base_url=server.api, api_key="none", model=EMBEDDED, temperature=0, max_retries=0
    )
    return model.bind_tools([WEATHER_TOOL], tool_choice="required", parallel_tool_calls=False)


def test_langchain_reads_a_call(langchain: Any) -> None:
    [call] = langchain.invoke(QUESTION, max_tokens=128).tool_calls
    assert call["name"] == WEATHER
    assert Place.model_validate(call["args"])


def test_langchain_puts_a_streamed_call_together(langchain: Any) -> None:
    first, *rest = langchain.stream(QUESTION, max_tokens=128)
    whole = first
    for chunk in rest:
        whole += chunk

    [call] = whole.tool_calls
    assert call["name"] == WEATHER
    assert Place.model_validate(call["args"])
    assert json.loads(whole.tool_call_chunks[0]["args"]) == call["args"]
