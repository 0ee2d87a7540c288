from collections.abc import Callable
from typing import Any

import httpx
import pytest

Events = list[dict[str, Any]]
ReadEvents = Callable[..., Events]

PATH = "/v1/messages"
HELLO = {"role": "user", "content": "Is it raining?"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "weather", "description": "Of a city.", "input_schema": CITY}
ASKING: dict[str, Any] = {"model": "caller", "messages": [HELLO], "tools": [WEATHER]}


def post(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post(PATH, json={**ASKING, "max_tokens": 1, **body})


def message(client: httpx.Client, **body: Any) -> dict[str, Any]:
    reply = post(client, **body)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def result(tool_use_id: str, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": tool_use_id, **fields}


def test_calls_are_blocks(caller: httpx.Client) -> None:
    answer = message(caller, max_tokens=999)
    assert answer["stop_reason"] == "tool_use"
    assert [(use["type"], use["name"], use["input"]) for use in answer["content"]] == [
        ("tool_use", "weather", {"city": "Köln"}),
        ("tool_use", "weather", {"city": "Rom"}),
    ]
    first, second = (use["id"] for use in answer["content"])
    assert first.startswith("toolu_")
    assert first != second


def test_a_call_that_was_cut_off_is_left_out(caller: httpx.Client) -> None:
    answer = message(caller, max_tokens=80)
    assert answer["stop_reason"] == "max_tokens"
    assert [use["input"] for use in answer["content"]] == [{"city": "Köln"}]


def test_the_results_go_back_with_the_calls(caller: httpx.Client) -> None:
    uses = message(caller, max_tokens=999)["content"]
    results = [result(use["id"], content="rain") for use in uses]
    said = [HELLO, {"role": "assistant", "content": uses}, {"role": "user", "content": results}]
    assert message(caller, messages=said)["usage"]["output_tokens"] == 1


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"content": "rain"}, "rain"),
        ({"content": [{"type": "text", "text": "ra"}, {"type": "text", "text": "in"}]}, "rain"),
        ({"content": "rain", "is_error": True}, "Error: rain"),
        ({}, ""),
    ],
)
def test_a_result_is_shown_to_the_model(
    caller: httpx.Client, fields: dict[str, Any], shown: str
) -> None:
    def count(*results: dict[str, Any]) -> int:
        use = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rom"}}
        said = [
            HELLO,
            {"role": "assistant", "content": [{"type": "text", "text": "Hm."}, use]},
            {"role": "user", "content": [*results, {"type": "text", "text": "And now?"}]},
        ]
        reply = caller.post(f"{PATH}/count_tokens", json={**ASKING, "messages": said})
        assert reply.status_code == 200, reply.text
        tokens: int = reply.json()["input_tokens"]
        return tokens

    assert count(result("t1", **fields)) - count(result("t1", content="")) == len(shown)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ([result("t9", content="rain")], "'t9'"),
        ([result("t9", content=[{"type": "image"}])], "'messages[0].content[0].content[0].type'"),
        ([{"type": "tool_result"}], "'messages[0].content[0].tool_use_id'"),
    ],
)
def test_a_result_that_makes_no_sense_is_refused(
    caller: httpx.Client, content: Any, named: str
) -> None:
    reply = post(caller, messages=[{"role": "user", "content": content}])
    assert reply.status_code == 400
    assert named in reply.json()["error"]["message"]


def test_a_schema_that_cannot_be_enforced_is_the_tools_fault(caller: httpx.Client) -> None:
    tool = {**WEATHER, "input_schema": {"type": "object", "properties": {"city": {"$ref": "#/x"}}}}
    reply = post(caller, tools=[tool])
    assert reply.status_code == 400
    assert "'tools'" in reply.json()["error"]["message"]


def test_calls_without_results_are_refused(caller: httpx.Client) -> None:
    use = {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}
    reply = post(caller, messages=[HELLO, {"role": "assistant", "content": [use]}])
    assert reply.status_code == 400
    assert "'t1'" in reply.json()["error"]["message"]


def test_tools_that_may_not_be_called_are_not_shown(caller: httpx.Client) -> None:
    said = [{"role": "user", "content": "Fresh?"}]
    choices: list[dict[str, Any]] = [{"tools": []}, {"tool_choice": {"type": "none"}}]
    usages = [message(caller, messages=said, **choice)["usage"] for choice in choices]
    bare, hidden = (usage["input_tokens"] + usage["cache_read_input_tokens"] for usage in usages)
    assert bare == hidden


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "any"},
        {"type": "auto", "disable_parallel_tool_use": True},
        {"type": "tool", "name": "weather"},
    ],
)
def test_a_call_can_be_chosen(caller: httpx.Client, choice: dict[str, Any]) -> None:
    answer = message(caller, tool_choice=choice, max_tokens=999)
    assert answer["stop_reason"] == "tool_use"


def test_a_choice_of_an_unknown_tool_is_refused(caller: httpx.Client) -> None:
    reply = post(caller, tool_choice={"type": "tool", "name": "sunshine"})
    assert reply.status_code == 400
    assert "'sunshine'" in reply.json()["error"]["message"]


def test_calls_are_streamed(caller: httpx.Client, events: ReadEvents) -> None:
    told = events(caller, **ASKING, max_tokens=999)
    for index, city in enumerate(("Köln", "Rom")):
        begun, *pieces, stop = [event for event in told if event.get("index") == index]
        assert begun["content_block"].pop("id").startswith("toolu_")
        assert begun["content_block"] == {"type": "tool_use", "name": "weather", "input": {}}
        assert {piece["delta"]["type"] for piece in pieces} == {"input_json_delta"}
        json = "".join(piece["delta"]["partial_json"] for piece in pieces)
        assert json == f'{{"city":"{city}"}}'
        assert stop == {"type": "content_block_stop", "index": index}
    assert told[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
