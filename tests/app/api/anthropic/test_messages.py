import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Events = list[dict[str, Any]]
ReadEvents = Callable[..., Events]

PATH = "/v1/messages"
HELLO = {"role": "user", "content": "hi"}


def message(client: httpx.Client, **body: Any) -> dict[str, Any]:
    asked = {"model": "fast", "messages": [HELLO], "max_tokens": 4, **body}
    reply = client.post(PATH, json=asked)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def count(client: httpx.Client, *messages: dict[str, Any], **body: Any) -> int:
    asked = {"model": "fast", "messages": [*messages], **body}
    reply = client.post(f"{PATH}/count_tokens", json=asked)
    assert reply.status_code == 200, reply.text
    tokens: int = reply.json()["input_tokens"]
    return tokens


def text(content: str, **extra: Any) -> dict[str, Any]:
    return {"type": "text", "text": content, **extra}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def test_a_message_has_anthropics_shape(client: httpx.Client) -> None:
    answer = message(client, stop_sequences=["aus"], max_tokens=99)
    assert answer.pop("id").startswith("msg_")
    cached = answer["usage"].pop("cache_read_input_tokens")
    assert answer == {
        "type": "message",
        "role": "assistant",
        "model": "fast",
        "content": [{"type": "text", "text": "Grüße "}],
        "stop_reason": "stop_sequence",
        "stop_sequence": "aus",
        "usage": {
            "input_tokens": 10 - cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": 11,
        },
    }


def test_the_limit_is_a_reason_to_stop(client: httpx.Client) -> None:
    answer = message(client)
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("max_tokens", None)
    assert answer["content"] == [text("Grü")]


def test_the_end_of_the_answer_ends_the_turn(client: httpx.Client, events: ReadEvents) -> None:
    form = {"format": {"type": "json_schema", "schema": {"const": "Grüße"}}}
    answer = message(client, max_tokens=99, output_config=form)
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("end_turn", None)
    assert answer["content"] == [text('"Grüße"')]
    told = events(client, model="fast", messages=[HELLO], max_tokens=99, output_config=form)
    assert told[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}


def test_what_was_cached_is_not_counted_as_input(client: httpx.Client) -> None:
    asked = [user("how much of this is cached?")]
    first, second = (message(client, messages=asked)["usage"] for _ in range(2))
    assert second["cache_read_input_tokens"] > first["cache_read_input_tokens"]
    for usage in (first, second):
        whole = usage["input_tokens"] + usage["cache_read_input_tokens"]
        assert whole == count(client, *asked)


def test_no_tokens_compute_the_prompt_for_the_cache(client: httpx.Client) -> None:
    asked = [user("this will be cached")]
    answer = message(client, messages=asked, max_tokens=0)
    assert (answer["content"], answer["stop_reason"]) == ([], "max_tokens")
    assert answer["usage"]["output_tokens"] == 0
    usage = message(client, messages=asked)["usage"]
    assert usage["input_tokens"] == 1


def test_a_string_is_a_block_of_text(client: httpx.Client) -> None:
    cached = text("hi", cache_control={"type": "ephemeral"})
    assert count(client, HELLO) == count(client, user([cached]))
    assert count(client, HELLO, system="Be brief.") == count(
        client, HELLO, system=[text("Be brief.")]
    )


def test_the_system_speaks_first(client: httpx.Client) -> None:
    said = {"role": "system", "content": "Be brief."}
    assert count(client, HELLO, system="Be brief.") == count(client, said, HELLO)


def test_two_messages_of_a_side_are_one_turn(client: httpx.Client) -> None:
    joined = count(client, user("a\n\nb"), assistant("c\n\nd"), user("e"))
    assert joined == count(client, user("a"), user("b"), assistant("c"), assistant("d"), user("e"))
    assert joined == count(
        client, user([text("a"), text("b")]), assistant([text("c"), text("d")]), user("e")
    )


def test_the_assistants_last_message_goes_on(client: httpx.Client) -> None:
    begun = count(client, HELLO, assistant("Well"))
    closed = count(client, HELLO, assistant("Well"), user(""))
    assert begun == count(client, HELLO) + len("assistant: Well")
    assert begun < closed


def test_thoughts_are_not_shown(client: httpx.Client) -> None:
    thoughts = {"type": "thinking", "thinking": "hm", "signature": "x"}
    assert count(client, HELLO, assistant([thoughts, text("a")]), HELLO) == count(
        client, HELLO, assistant("a"), HELLO
    )


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role: "),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [user([{"type": "image", "source": {}}])]}, "messages[0].content[0]"),
        ({"messages": [user([{"type": "document", "source": {}}])]}, "messages[0].content[0]"),
        ({"messages": [user([{"type": "text"}])]}, "messages[0].content[0].text"),
        ({"messages": [assistant([{"type": "tool_result"}])]}, "messages[0].content[0]"),
        ({"system": 7}, "system"),
        ({"system": [{"type": "image"}]}, "system[0]"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"stop_sequences": [7]}, "stop_sequences"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking.type"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tool_choice": {"type": "some"}}, "tool_choice"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "x"}}}},
            "output_config.format.schema",
        ),
        ({"container": "c"}, "container"),
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    client: httpx.Client, given: dict[str, Any], named: str
) -> None:
    body = {"model": "fast", "messages": [HELLO], "max_tokens": 4, **given}
    reply = client.post(PATH, json=body)
    assert reply.status_code == 400, reply.text
    error = reply.json()
    assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")
    assert named in error["error"]["message"]


def test_what_asks_for_nothing_passes(client: httpx.Client) -> None:
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "a", "x-api-key": "none"}
    body = {
        "model": "fast",
        "messages": [HELLO],
        "max_tokens": 1,
        "metadata": {"user_id": "u"},
        "service_tier": "auto",
        "thinking": {"type": "disabled"},
        "output_config": {"effort": "low"},
        "tools": [],
        "mcp_servers": [],
        "tool_choice": {"type": "auto"},
        "temperature": 0,
        "top_k": 1,
        "top_p": 0.9,
    }
    assert client.post(PATH, json=body, headers=headers).status_code == 200


@pytest.mark.parametrize("path", [PATH, f"{PATH}/count_tokens"])
def test_an_unknown_model_is_not_found(client: httpx.Client, path: str) -> None:
    reply = client.post(path, json={"model": "none", "messages": [HELLO], "max_tokens": 1})
    assert reply.status_code == 404
    assert reply.json()["error"]["type"] == "not_found_error"


def test_a_stream_tells_everything_in_order(client: httpx.Client, events: ReadEvents) -> None:
    told = events(client, model="fast", messages=[HELLO], max_tokens=6)
    start, block, *pieces, stop, ending, end = told
    assert start["message"].pop("id").startswith("msg_")
    assert start == {
        "type": "message_start",
        "message": {
            "type": "message",
            "role": "assistant",
            "model": "fast",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": 10,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 0,
            },
        },
    }
    assert block == {"type": "content_block_start", "index": 0, "content_block": text("")}
    assert {piece["type"] for piece in pieces} == {"content_block_delta"}
    assert {(piece["index"], piece["delta"]["type"]) for piece in pieces} == {(0, "text_delta")}
    assert "".join(piece["delta"]["text"] for piece in pieces) == "Grüß"
    assert stop == {"type": "content_block_stop", "index": 0}
    cached = ending["usage"].pop("cache_read_input_tokens")
    assert ending == {
        "type": "message_delta",
        "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
        "usage": {
            "input_tokens": 10 - cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": 6,
        },
    }
    assert end == {"type": "message_stop"}


def test_a_stream_without_text_has_no_blocks(client: httpx.Client, events: ReadEvents) -> None:
    told = events(client, model="fast", messages=[HELLO], max_tokens=9, stop_sequences=["G"])
    assert [event["type"] for event in told] == ["message_start", "message_delta", "message_stop"]
    assert told[1]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "G"}


def test_a_failure_in_mid_stream_is_an_error_event(
    start_server: Any, make_model: Any, events: ReadEvents
) -> None:
    with (
        start_server(make_model("mortal", crash_after=4, step_seconds=0.1)) as server,
        server.client() as client,
    ):
        *_, error = events(client, model="mortal", messages=[HELLO], max_tokens=50)
    assert error["type"] == "error"
    assert error["error"]["type"] == "overloaded_error"


def wait_until_running(client: httpx.Client, count: int) -> None:
    while client.get("/v1/models/slow").json()["running"] != count:
        time.sleep(0.02)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_frees_its_slot(client: httpx.Client, stream: bool) -> None:
    body = {"model": "slow", "messages": [HELLO], "max_tokens": 4000, "stream": stream}
    async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as leaving:
        asking = asyncio.create_task(leaving.post(PATH, json=body))
        await asyncio.to_thread(wait_until_running, client, 1)
        asking.cancel()
    await asyncio.to_thread(wait_until_running, client, 0)
