"""Tools on real models, by the published client, against the server as a user starts it."""

import json
from typing import Any

import pytest
from jsonschema import validate
from openai import BadRequestError, OpenAI
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionFunctionToolParam,
    ChatCompletionMessage,
    ChatCompletionMessageParam,
)

from tests.e2e.server import Server

MODEL = "smollm2-135m-instruct"
EVENT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "minLength": 3, "maxLength": 40},
        "day": {"enum": ["Monday", "Tuesday", "Wednesday"]},
        "hours": {"type": "array", "items": {"$ref": "#/$defs/hour"}, "minItems": 1, "maxItems": 2},
        "place": {
            "type": "object",
            "properties": {"room": {"type": "integer", "minimum": 1, "maximum": 99}},
            "required": ["room"],
            "additionalProperties": False,
        },
    },
    "required": ["title", "day", "hours", "place"],
    "additionalProperties": False,
    "$defs": {"hour": {"type": "integer", "minimum": 8, "maximum": 18}},
}
WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The current weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
PLAN: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "plan_event",
        "description": "Put an event into the calendar.",
        "parameters": EVENT,
        "strict": True,
    },
}
PARIS: list[ChatCompletionMessageParam] = [
    {"role": "user", "content": "What is the weather in Paris?"}
]


@pytest.fixture
def client(server: Server) -> OpenAI:
    return server.client


def the_call(message: ChatCompletionMessage) -> tuple[str, str, Any]:
    """The id, the name and the arguments of the one call of ``message``."""
    (call,) = message.model_dump()["tool_calls"]
    return call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])


@pytest.mark.parametrize(("model", "tool"), [(MODEL, PLAN), ("tiny-instruct", WEATHER)])
def test_a_named_tool_is_called_with_what_its_schema_accepts(
    client: OpenAI, model: str, tool: ChatCompletionFunctionToolParam
) -> None:
    name = tool["function"]["name"]
    choice = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Meet Ann."}],
        tools=[tool],
        tool_choice={"type": "function", "function": {"name": name}},
        temperature=1,
        seed=1,
    ).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    _, called, arguments = the_call(choice.message)
    assert called == name
    validate(arguments, tool["function"]["parameters"])


@pytest.mark.parametrize("seed", range(2))
def test_the_model_answers_or_calls_as_it_likes(client: OpenAI, seed: int) -> None:
    choice = client.chat.completions.create(
        model=MODEL, messages=PARIS, tools=[WEATHER], temperature=1, seed=seed, max_tokens=80
    ).choices[0]
    if choice.finish_reason == "tool_calls":
        assert choice.message.content is None
        assert choice.message.tool_calls
    else:
        assert choice.message.content


def test_a_model_that_knows_the_answer_gives_it(client: OpenAI) -> None:
    choice = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "What is 2+2?"}],
        tools=[WEATHER, PLAN],
        temperature=0,
        max_tokens=40,
    ).choices[0]
    assert "4" in (choice.message.content or "")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_conversation_of_two_turns(client: OpenAI, streamed: bool) -> None:
    def turn(messages: list[ChatCompletionMessageParam], choice: Any) -> ChatCompletionMessage:
        body: dict[str, Any] = {"model": MODEL, "tools": [WEATHER], "tool_choice": choice}
        body |= {"messages": messages, "temperature": 0, "max_tokens": 60}
        if streamed:
            with client.chat.completions.stream(**body) as stream:
                return stream.get_final_completion().choices[0].message
        whole: ChatCompletion = client.chat.completions.create(**body)
        return whole.choices[0].message

    asked = turn(PARIS, {"type": "function", "function": {"name": "get_weather"}})
    call_id, _, arguments = the_call(asked)
    assert arguments == {"city": "Paris"}
    result: ChatCompletionMessageParam = {
        "role": "tool",
        "tool_call_id": call_id,
        "content": "18 degrees, sunny",
    }
    history = [*PARIS, asked.model_dump(exclude_none=True, exclude={"parsed"}), result]
    answer = turn(history, "none")  # type: ignore[arg-type]
    assert answer.content
    assert not answer.tool_calls


def test_what_an_engine_cannot_follow_is_refused_before_any_text(client: OpenAI) -> None:
    broken = {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "y"}}}}
    with pytest.raises(BadRequestError) as refusal:
        client.chat.completions.create(
            model=MODEL,
            messages=PARIS,
            tools=[{"type": "function", "function": broken}],  # type: ignore[typeddict-item]
            stream=True,
        )
    assert (refusal.value.param, refusal.value.code) == ("tools", "invalid_grammar")
