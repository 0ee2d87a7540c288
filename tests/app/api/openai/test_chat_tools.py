"""Tools in chats: a model that calls by its script, asked by the published client."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

from tests.app.conftest import RunningServer, fake_model, running_server

CALLS = (
    '{"tool_calls":[{"name":"get_weather","arguments":{"city":"Köln 🙂"}},'
    '{"name":"get_time","arguments":{}}]}'
)
FIRST = '{"city":"Köln 🙂"}'

WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
TIME: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {"name": "get_time", "strict": True},
}
TOOLS = [WEATHER, TIME]
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    models = (fake_model("calls", script=CALLS), fake_model("talks", script="Hello! "))
    with running_server(*models) as running:
        yield running


@pytest.fixture
def openai_client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def post(client: httpx.Client, **body: Any) -> dict[str, Any]:
    body = {"model": "calls", "messages": HELLO, "tools": TOOLS, **body}
    response = client.post(PATH, json=body)
    assert response.status_code == 200, response.text
    choice: dict[str, Any] = response.json()["choices"][0]
    return choice


def refused(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post(PATH, json={"model": "calls", "messages": HELLO, **body})
    assert response.status_code == 400, response.text
    error: dict[str, Any] = response.json()["error"]
    return error


def called(choice: dict[str, Any]) -> list[tuple[str, Any]]:
    """The names and the arguments of the calls of ``choice``, all of them whole."""
    assert choice["finish_reason"] == "tool_calls"
    functions = [call["function"] for call in choice["message"]["tool_calls"]]
    return [(function["name"], json.loads(function["arguments"])) for function in functions]


class TestWholeReplies:
    def test_calls_have_openais_shape(self, client: httpx.Client) -> None:
        choice = post(client)
        calls = choice["message"].pop("tool_calls")
        assert choice["message"] == {"role": "assistant", "content": None, "refusal": None}
        assert choice["finish_reason"] == "tool_calls"
        ids = [call.pop("id") for call in calls]
        assert len({*ids}) == 2
        assert all(call_id.startswith("call_") for call_id in ids)
        assert calls == [
            {"type": "function", "function": {"name": "get_weather", "arguments": FIRST}},
            {"type": "function", "function": {"name": "get_time", "arguments": "{}"}},
        ]

    @pytest.mark.parametrize("choice", [None, "auto"])
    def test_the_model_may_answer_in_text(self, client: httpx.Client, choice: str | None) -> None:
        answer = post(client, model="talks", tool_choice=choice, stop="!")
        assert answer["message"] == {"role": "assistant", "content": "Hello", "refusal": None}
        assert answer["finish_reason"] == "stop"

    def test_it_may_not_where_a_call_is_required(self, client: httpx.Client) -> None:
        answer = post(client, model="talks", tool_choice="required", max_tokens=60)
        assert answer["message"]["content"] is None
        assert answer["message"]["tool_calls"][0]["function"]["name"] in ("get_weather", "get_time")

    @pytest.mark.parametrize("name", ["get_weather", "get_time"])
    def test_a_named_tool_is_called_once(self, client: httpx.Client, name: str) -> None:
        choice = {"type": "function", "function": {"name": name}}
        assert [name for name, _ in called(post(client, tool_choice=choice))] == [name]

    def test_calls_come_singly_if_so_wanted(self, client: httpx.Client) -> None:
        (call,) = called(post(client, parallel_tool_calls=False))
        assert call == ("get_weather", json.loads(FIRST))

    def test_some_of_the_tools_can_be_allowed(self, client: httpx.Client) -> None:
        only = {"type": "function", "function": {"name": "get_time"}}
        allowed = {"mode": "required", "tools": [only]}
        choice = {"type": "allowed_tools", "allowed_tools": allowed}
        answer = post(client, tool_choice=choice, parallel_tool_calls=False)
        assert called(answer) == [("get_time", {})]

    def test_tools_are_neither_shown_nor_called_where_the_choice_is_none(
        self, client: httpx.Client
    ) -> None:
        answer = post(client, tool_choice="none", max_tokens=5, return_token_ids=True)
        assert answer["message"]["content"] == CALLS[:5]
        body = {"model": "calls", "messages": HELLO, "max_tokens": 1}
        without = client.post(PATH, json=body).json()["usage"]
        hidden = {**body, "tools": TOOLS, "tool_choice": "none"}
        assert client.post(PATH, json=hidden).json()["usage"] == without

    @pytest.mark.parametrize("tokens", range(5, len(CALLS.encode()), 11))
    def test_calls_that_are_cut_off_are_shown_as_far_as_they_came(
        self, client: httpx.Client, tokens: int
    ) -> None:
        answer = post(client, max_tokens=tokens)
        assert answer["finish_reason"] == "length"
        for call in answer["message"].get("tool_calls", ()):
            assert call["function"]["arguments"].rstrip("\ufffd") in CALLS

    def test_scores_belong_to_text_alone(self, client: httpx.Client) -> None:
        assert post(client, logprobs=True)["logprobs"] == {"content": None, "refusal": None}
        answer = post(client, model="talks", logprobs=True, stop="!")
        spelled = [bytes(entry["bytes"]) for entry in answer["logprobs"]["content"]]
        assert b"".join(spelled) == b"Hello"


class TestLegacy:
    BODY: ClassVar[dict[str, Any]] = {
        "tools": None,
        "functions": [WEATHER["function"], TIME["function"]],
    }

    def test_a_function_is_called_as_before_there_were_tools(self, client: httpx.Client) -> None:
        choice = post(client, **self.BODY)
        assert choice["message"]["function_call"] == {"name": "get_weather", "arguments": FIRST}
        assert "tool_calls" not in choice["message"]
        assert choice["finish_reason"] == "function_call"

    def test_a_function_can_be_named(self, client: httpx.Client) -> None:
        choice = post(client, **self.BODY, function_call={"name": "get_time"})
        assert choice["message"]["function_call"]["name"] == "get_time"
        assert json.loads(choice["message"]["function_call"]["arguments"]) == {}

    def test_a_stream_names_it_once(self, openai_client: openai.OpenAI) -> None:
        stream = openai_client.chat.completions.create(
            model="calls", messages=HELLO, functions=[WEATHER["function"]], stream=True
        )
        deltas = [chunk.choices[0].delta.function_call for chunk in stream]
        calls = [delta for delta in deltas if delta is not None]
        assert [call.name for call in calls if call.name] == ["get_weather"]
        assert "".join(call.arguments or "" for call in calls) == FIRST

    def test_its_result_bears_its_name(self, client: httpx.Client) -> None:
        call = {"name": "get_time", "arguments": "{}"}
        messages = [
            *HELLO,
            {"role": "assistant", "content": None, "function_call": call},
            {"role": "function", "name": "get_time", "content": "12:00"},
        ]
        assert post(client, messages=messages, model="talks", stop="!")["finish_reason"] == "stop"


class TestStreams:
    def test_a_call_is_named_once_and_its_arguments_follow(
        self, openai_client: openai.OpenAI
    ) -> None:
        stream = openai_client.chat.completions.create(
            model="calls", messages=HELLO, tools=TOOLS, stream=True, n=2
        )
        arguments: dict[tuple[int, int], str] = {}
        for chunk in stream:
            (choice,) = chunk.choices
            assert choice.delta.content is None
            for call in choice.delta.tool_calls or ():
                assert call.function is not None
                key = choice.index, call.index
                if key not in arguments:
                    assert call.id
                    assert call.type == "function"
                    assert call.function.name
                    arguments[key] = ""
                else:
                    assert (call.id, call.type, call.function.name) == (None, None, None)
                arguments[key] += call.function.arguments or ""
        assert arguments == {
            (choice, index): text for choice in range(2) for index, text in enumerate([FIRST, "{}"])
        }

    def test_the_end_comes_in_a_chunk_of_its_own(self, openai_client: openai.OpenAI) -> None:
        stream = openai_client.chat.completions.create(
            model="calls", messages=HELLO, tools=TOOLS, stream=True
        )
        *_, last = stream
        assert last.choices[0].finish_reason == "tool_calls"
        assert last.choices[0].delta.model_dump(exclude_unset=True) == {}

    def test_the_streaming_helper_parses_the_arguments(self, openai_client: openai.OpenAI) -> None:
        with openai_client.chat.completions.stream(
            model="calls", messages=HELLO, tools=TOOLS
        ) as stream:
            message = stream.get_final_completion().choices[0].message
        assert message.content is None
        assert message.tool_calls is not None
        parsed = [call.function.parsed_arguments for call in message.tool_calls]
        assert parsed == [{"city": "Köln 🙂"}, {}]

    def test_text_is_streamed_as_it_is(self, openai_client: openai.OpenAI) -> None:
        with openai_client.chat.completions.stream(
            model="talks", messages=HELLO, tools=TOOLS, stop="!", logprobs=True
        ) as stream:
            choice = stream.get_final_completion().choices[0]
        assert (choice.message.content, choice.finish_reason) == ("Hello", "stop")
        assert choice.logprobs is not None
        entries = choice.logprobs.content or []
        assert "".join(entry.token for entry in entries) == "Hello"


class TestConversation:
    def test_two_turns(self, openai_client: openai.OpenAI) -> None:
        create = openai_client.chat.completions.create
        messages = [*HELLO]
        message = create(model="calls", messages=messages, tools=TOOLS).choices[0].message
        assert message.tool_calls is not None
        messages.append(message.model_dump(exclude_none=True))  # type: ignore[arg-type]
        for call in message.tool_calls:
            result = {"role": "tool", "tool_call_id": call.id, "content": "fine"}
            messages.append(result)  # type: ignore[arg-type]
        answer = create(
            model="talks",
            messages=messages,
            tools=TOOLS,
            stop="!",
            extra_body={"return_token_ids": True},
        )
        assert answer.choices[0].message.content == "Hello"
        ids: list[int] = answer.model_extra["prompt_token_ids"]  # type: ignore[index]
        prompt = bytes(ids[1:]).decode()
        results = "Result of get_weather:\nfine\n\nResult of get_time:\nfine\n"
        assert prompt.endswith(f"assistant: {CALLS}\nuser: {results}")

    def test_a_result_without_its_call_is_refused(self, client: httpx.Client) -> None:
        result = {"role": "tool", "tool_call_id": "call_9", "content": "x"}
        error = refused(client, messages=[*HELLO, result])
        assert error["param"] == "messages"
        assert "'call_9'" in error["message"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
            ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
            ({"tools": [{"type": "function"}]}, "tools[0].function"),
            ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools"),
            ({"tools": [WEATHER, WEATHER]}, "tools"),
            ({"tools": "x"}, "tools"),
            ({"tool_choice": "required"}, "tool_choice"),
            ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
            ({"tools": TOOLS, "tool_choice": "any"}, "tool_choice"),
            ({"tools": TOOLS, "tool_choice": {"type": "custom"}}, "tool_choice"),
            (
                {
                    "tools": TOOLS,
                    "tool_choice": {"type": "function", "function": {"name": "get_tim"}},
                },
                "tool_choice",
            ),
            (
                {
                    "tools": TOOLS,
                    "tool_choice": {
                        "type": "allowed_tools",
                        "allowed_tools": {"mode": "auto", "tools": []},
                    },
                },
                "tool_choice",
            ),
            ({"tools": TOOLS, "functions": [{"name": "f"}]}, "functions"),
            ({"function_call": {"name": "f"}}, "function_call"),
            ({"tools": TOOLS, "ignore_eos": True}, "ignore_eos"),
            ({"tools": TOOLS, "response_format": {"type": "json_object"}}, "tool_choice"),
        ],
    )
    def test_what_makes_no_sense_is_refused_by_name(
        self, client: httpx.Client, body: dict[str, Any], param: str
    ) -> None:
        assert refused(client, **body)["param"] == param

    def test_a_schema_that_is_none_is_the_fault_of_the_tools(self, client: httpx.Client) -> None:
        parameters = {"type": "object", "properties": {"x": {"type": "text"}}}
        tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
        error = refused(client, tools=[tool])
        assert (error["param"], error["code"]) == ("tools", "invalid_grammar")

    @pytest.mark.parametrize("choice", ["none", "auto"])
    def test_a_choice_of_nothing_needs_no_tools(self, client: httpx.Client, choice: str) -> None:
        answer = post(client, model="talks", tools=None, tool_choice=choice, stop="!")
        assert answer["message"]["content"] == "Hello"


def test_a_prescribed_form_yields_to_a_required_call(client: httpx.Client) -> None:
    choice = {"type": "function", "function": {"name": "get_time"}}
    answer = post(client, tool_choice=choice, response_format={"type": "json_object"})
    assert called(answer) == [("get_time", {})]
