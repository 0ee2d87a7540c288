"""The Responses API and Anthropic's Messages API on real models."""

from typing import Any

import httpx
import pytest

from tests.e2e.server import Server

QUESTION = {"role": "user", "content": "Count to 9."}
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
}


def post(server: Server, path: str, **body: Any) -> dict[str, Any]:
    asked = {"model": "tiny-instruct", "temperature": 0, **body}
    reply = httpx.post(server.url + path, json=asked, timeout=120)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def said(server: Server, *, max_tokens: int, **body: Any) -> dict[str, Any]:
    return post(server, "/v1/messages", max_tokens=max_tokens, **body)


def test_one_question_has_one_answer_in_every_dialect(server: Server) -> None:
    chat = post(server, "/v1/chat/completions", messages=[QUESTION], max_tokens=12)
    response = post(server, "/v1/responses", input=[QUESTION], max_output_tokens=12)
    message = said(server, messages=[QUESTION], max_tokens=12)
    assert (
        chat["choices"][0]["message"]["content"]
        == response["output"][0]["content"][0]["text"]
        == message["content"][0]["text"]
    )
    usage = message["usage"]
    assert (
        chat["usage"]["prompt_tokens"]
        == response["usage"]["input_tokens"]
        == usage["input_tokens"] + usage["cache_read_input_tokens"]
    )


def test_an_answer_goes_on_where_its_beginning_ends(server: Server) -> None:
    whole = said(server, messages=[QUESTION], max_tokens=40)["content"][0]["text"]
    begun = said(server, messages=[QUESTION], max_tokens=8)["content"][0]["text"]
    assert whole != begun
    rest = said(server, messages=[QUESTION, {"role": "assistant", "content": begun}], max_tokens=32)
    assert whole == begun + rest["content"][0]["text"]


@pytest.mark.parametrize("model", ["tiny-instruct", "smollm2-135m-instruct"])
def test_a_demanded_tool_is_called_with_arguments_of_its_schema(server: Server, model: str) -> None:
    message = said(
        server,
        model=model,
        messages=[{"role": "user", "content": "Is it raining in Rome?"}],
        max_tokens=200,
        tools=[{"name": "weather", "input_schema": WEATHER}],
        tool_choice={"type": "tool", "name": "weather"},
    )
    assert message["stop_reason"] == "tool_use"
    (use,) = message["content"]
    assert use["name"] == "weather"
    assert set(use["input"]) == {"city"}
