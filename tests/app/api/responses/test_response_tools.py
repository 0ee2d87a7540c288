from collections.abc import Callable
from typing import Any

import httpx
import pytest

Events = list[dict[str, Any]]
ReadEvents = Callable[..., Events]

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "name": "weather", "description": "Of a city.", "parameters": CITY}
ASKING: dict[str, Any] = {"model": "caller", "input": "Is it raining?", "tools": [WEATHER]}


def respond(client: httpx.Client, **body: Any) -> dict[str, Any]:
    reply = client.post("/v1/responses", json={**ASKING, **body})
    assert reply.status_code == 200, reply.text
    response: dict[str, Any] = reply.json()
    return response


def test_calls_are_items(caller: httpx.Client) -> None:
    response = respond(caller)
    assert response["status"] == "completed"
    assert [(item["type"], item["status"]) for item in response["output"]] == [
        ("function_call", "completed")
    ] * 2
    assert [(item["name"], item["arguments"]) for item in response["output"]] == [
        ("weather", '{"city":"Köln"}'),
        ("weather", '{"city":"Rom"}'),
    ]
    first, second = response["output"]
    assert first["id"].startswith("fc_")
    assert len({first["id"], second["id"], first["call_id"], second["call_id"]}) == 4
    assert response["tools"] == [WEATHER | {"strict": None}]


def test_a_call_that_was_cut_off_is_incomplete(caller: httpx.Client) -> None:
    response = respond(caller, max_output_tokens=55)
    assert response["status"] == "incomplete"
    (call,) = response["output"]
    assert call["status"] == "incomplete"
    assert '{"city":"Köln"}'.startswith(call["arguments"])


def test_a_call_before_the_cut_is_completed(caller: httpx.Client) -> None:
    response = respond(caller, max_output_tokens=80)
    assert response["status"] == "incomplete"
    assert [item["status"] for item in response["output"]] == ["completed"]


def test_the_results_go_back_with_the_calls(caller: httpx.Client) -> None:
    calls = respond(caller)["output"]
    results = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}
        for call in calls
    ]
    said = [{"role": "user", "content": "Is it raining?"}, *calls, *results]
    assert respond(caller, input=said, max_output_tokens=1)["status"] == "incomplete"


def test_without_tools_the_same_text_is_a_message(caller: httpx.Client) -> None:
    (message,) = respond(caller, tools=[], max_output_tokens=20)["output"]
    assert message["content"][0]["text"] == '{"tool_calls":[{"nam'


@pytest.mark.parametrize("choice", ["none", {"type": "allowed_tools", "mode": "auto", "tools": []}])
def test_tools_that_may_not_be_called_are_not_shown(caller: httpx.Client, choice: Any) -> None:
    bare = respond(caller, tools=[], max_output_tokens=1)["usage"]["input_tokens"]
    response = respond(caller, tool_choice=choice, max_output_tokens=1)
    assert response["tool_choice"] == choice
    assert response["usage"]["input_tokens"] == bare


def test_calls_are_streamed(caller: httpx.Client, events: ReadEvents) -> None:
    told = events(caller, **ASKING)
    assert {event["type"].removeprefix("response.") for event in told} == {
        "created",
        "in_progress",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    }
    for index, city in enumerate(("Köln", "Rom")):
        of_call = [event for event in told if event.get("output_index") == index]
        added, *deltas, arguments, done = of_call
        assert added["item"]["arguments"] == ""
        assert "".join(delta["delta"] for delta in deltas) == f'{{"city":"{city}"}}'
        assert arguments["arguments"] == done["item"]["arguments"] == f'{{"city":"{city}"}}'
        assert {event["item_id"] for event in (*deltas, arguments)} == {done["item"]["id"]}
    assert [item["name"] for item in told[-1]["response"]["output"]] == ["weather", "weather"]
