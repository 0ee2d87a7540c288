import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Events = list[dict[str, Any]]
ReadEvents = Callable[..., Events]

PATH = "/v1/responses"


def respond(client: httpx.Client, **body: Any) -> dict[str, Any]:
    reply = client.post(PATH, json={"model": "fast", "input": "hi", **body})
    assert reply.status_code == 200, reply.text
    response: dict[str, Any] = reply.json()
    return response


def refusal(client: httpx.Client, **body: Any) -> dict[str, Any]:
    reply = client.post(PATH, json={"model": "fast", "input": "hi", **body})
    assert reply.status_code == 400, reply.text
    error: dict[str, Any] = reply.json()["error"]
    return error


def input_tokens(client: httpx.Client, **body: Any) -> int:
    count: int = respond(client, **body, max_output_tokens=1)["usage"]["input_tokens"]
    return count


def test_a_response_has_openais_shape(client: httpx.Client) -> None:
    response = respond(client, max_output_tokens=4, metadata={"a": "b"})
    assert response.pop("id").startswith("resp_")
    assert isinstance(response.pop("created_at"), int)
    assert response["usage"]["input_tokens_details"].pop("cached_tokens") in range(10)
    (message,) = response.pop("output")
    assert message.pop("id").startswith("msg_")
    assert message == {
        "type": "message",
        "status": "incomplete",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Grü", "annotations": [], "logprobs": []}],
    }
    assert response == {
        "object": "response",
        "completed_at": None,
        "status": "incomplete",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"},
        "model": "fast",
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cache_write_tokens": 0},
            "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 14,
        },
        "instructions": None,
        "max_output_tokens": 4,
        "max_tool_calls": None,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_logprobs": 0,
        "text": {"format": {"type": "text"}},
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "truncation": "disabled",
        "reasoning": {"effort": None, "summary": None},
        "metadata": {"a": "b"},
        "user": None,
        "service_tier": "default",
        "previous_response_id": None,
        "background": False,
        "store": False,
    }


def test_the_path_works_without_its_version(client: httpx.Client) -> None:
    body = {"model": "fast", "input": "hi", "max_output_tokens": 1}
    assert client.post("/responses", json=body).status_code == 200


def test_without_a_limit_the_answer_fills_the_context(client: httpx.Client) -> None:
    assert respond(client, model="short")["usage"]["total_tokens"] == 32


def test_a_text_is_a_users_message(client: httpx.Client) -> None:
    message = {"role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    assert input_tokens(client) == input_tokens(client, input=[message])


def test_the_input_is_counted_without_a_response(client: httpx.Client) -> None:
    body = {"model": "fast", "instructions": "b", "input": "hi"}
    count = client.post(f"{PATH}/input_tokens", json=body).json()
    expected = input_tokens(client, instructions="b", input="hi")
    assert count == {"object": "response.input_tokens", "input_tokens": expected}


def test_instructions_are_a_system_message_ahead_of_the_input(client: httpx.Client) -> None:
    said = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert input_tokens(client, instructions="Be brief.") == input_tokens(client, input=said)


def test_the_output_goes_back_in_as_it_came(client: httpx.Client) -> None:
    output = respond(client, max_output_tokens=2)["output"]
    question = {"role": "user", "content": "hi"}
    plain = [question, {"role": "assistant", "content": "Gr"}, question]
    assert input_tokens(client, input=[question, *output, question]) == input_tokens(
        client, input=plain
    )


def test_calls_and_their_results_are_shown_to_the_model(client: httpx.Client) -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c1"}
    asked = [{"role": "user", "content": "hi"}, call]
    text = input_tokens(client, input=[*asked, {**output, "output": "seven"}])
    parts = [{"type": "input_text", "text": "seven"}]
    assert text == input_tokens(client, input=[*asked, {**output, "output": parts}])
    assert text > input_tokens(client, input=asked)


def test_a_result_without_its_call_is_refused(client: httpx.Client) -> None:
    error = refusal(
        client, input=[{"type": "function_call_output", "call_id": "c1", "output": "x"}]
    )
    assert error["param"] == "input"
    assert "'c1'" in error["message"]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"input": 7}, "input"),
        ({"input": []}, "input"),
        ({"input": ["hi"]}, "input[0]"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "robot", "content": "hi"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{}]}]}, "input[0].content[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "input[0].content[0].text",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "input[0].content[0].type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]},
            "input[0].content[0].type",
        ),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input[0].type"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"tools": "all"}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "always"}, "tool_choice"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
        (
            {"text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "x"}}}},
            "text.format.schema",
        ),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"seed": 7}, "seed"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    client: httpx.Client, given: dict[str, Any], param: str
) -> None:
    assert refusal(client, **given)["param"] == param


def test_a_model_that_does_not_chat_is_the_inputs_fault(tiny: httpx.Client) -> None:
    error = refusal(tiny, model="base")
    assert (error["code"], error["param"]) == ("chat_not_supported", "input")


def test_a_prompt_that_is_too_long_is_the_inputs_fault(client: httpx.Client) -> None:
    error = refusal(client, model="short", input="a" * 40)
    assert (error["code"], error["param"]) == ("context_length_exceeded", "input")


def test_what_asks_for_nothing_passes(client: httpx.Client) -> None:
    respond(
        client,
        max_output_tokens=1,
        store=True,
        background=False,
        truncation="disabled",
        previous_response_id=None,
        reasoning={"effort": "low"},
        text={"verbosity": "low"},
        include=["reasoning.encrypted_content"],
        service_tier="auto",
        prompt_cache_key="a",
        safety_identifier="b",
        stream_options=None,
        tools=None,
        tool_choice=None,
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items"),
        ("GET", "/responses/resp_1"),
    ],
)
def test_no_response_is_stored(client: httpx.Client, method: str, path: str) -> None:
    reply = client.request(method, path)
    assert reply.status_code == 404
    assert "stores no responses" in reply.json()["error"]["message"]


def test_a_stream_tells_everything_in_order(client: httpx.Client, events: ReadEvents) -> None:
    told = events(client, model="fast", input="hi", max_output_tokens=6)
    types = [event["type"] for event in told]
    deltas = types.count("response.output_text.delta")
    assert types == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * deltas,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    created, _, item, part, *pieces, text_done, part_done, item_done, last = told
    assert created["response"]["status"] == "in_progress"
    assert created["response"]["usage"] is None
    assert item["item"]["status"] == "in_progress"
    assert item["item"]["content"] == []
    assert part["part"]["text"] == ""
    assert "".join(piece["delta"] for piece in pieces) == text_done["text"] == "Grüß"
    assert part_done["part"]["text"] == "Grüß"
    assert item_done["item"]["id"] == item["item"]["id"] == pieces[0]["item_id"]
    assert last["response"]["id"] == created["response"]["id"]
    assert last["response"]["output"] == [item_done["item"]]


def test_a_stream_ends_with_what_a_whole_response_says(
    client: httpx.Client, events: ReadEvents
) -> None:
    respond(client, max_output_tokens=1)  # from now on the prompt is cached
    whole = respond(client, max_output_tokens=37)
    last = events(client, model="fast", input="hi", max_output_tokens=37)[-1]["response"]
    for response in (whole, last):
        assert response.pop("id")
        assert response.pop("created_at")
        assert response["output"][0].pop("id")
    assert last == whole


def test_log_probabilities_come_with_the_text(client: httpx.Client, events: ReadEvents) -> None:
    asked = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    body = {"model": "fast", "input": "hi", "max_output_tokens": 6, **asked}
    part = respond(client, **body)["output"][0]["content"][0]
    assert b"".join(bytes(score["bytes"]) for score in part["logprobs"]).decode() == part["text"]
    assert all(len(score["top_logprobs"]) == 2 for score in part["logprobs"])
    told = events(client, **body)
    pieces = [event for event in told if event["type"] == "response.output_text.delta"]
    assert [score for piece in pieces for score in piece["logprobs"]] == part["logprobs"]


def test_a_failure_in_mid_stream_fails_the_response_and_is_an_error(
    start_server: Any, make_model: Any, events: ReadEvents
) -> None:
    with (
        start_server(make_model("faulty", fail_after=4, step_seconds=0.1)) as server,
        server.client() as client,
    ):
        *_, failed, error = events(client, model="faulty", input="a", max_output_tokens=50)
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["code"] == "server_error"
    assert error["type"] == "error"
    assert error["error"]["message"] == error["message"] == failed["response"]["error"]["message"]


def wait_until_running(client: httpx.Client, count: int) -> None:
    while client.get("/v1/models/slow").json()["running"] != count:
        time.sleep(0.02)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_frees_its_slot(client: httpx.Client, stream: bool) -> None:
    body = {"model": "slow", "input": "a", "stream": stream}
    async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as leaving:
        asking = asyncio.create_task(leaving.post(PATH, json=body))
        await asyncio.to_thread(wait_until_running, client, 1)
        asking.cancel()
    await asyncio.to_thread(wait_until_running, client, 0)
