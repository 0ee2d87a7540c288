"""Ollama's client: chats, texts, middles, and what it asks about models."""

from typing import Any

import ollama
import pytest

from tests.clients.examples import (
    BODY,
    GREETING,
    GREETING_TURN,
    HEAD,
    HELLO,
    MIDDLE,
    PREFIX,
    QUESTION,
    SUFFIX,
    WEATHER,
    WEATHER_TOOL,
    Place,
)
from tests.clients.server import BASE, EMBEDDED, INSTRUCT, Server

GREEDY: Any = {"temperature": 0, "num_predict": 64}


@pytest.fixture
def client(server: Server) -> ollama.Client:
    return ollama.Client(host=server.url)


def test_models_are_listed(client: ollama.Client) -> None:
    names = {model.model.removesuffix(":latest") for model in client.list().models}
    assert {BASE, INSTRUCT, EMBEDDED} <= names


def test_a_model_tells_what_it_can_do(client: ollama.Client) -> None:
    base, instruct = client.show(BASE), client.show(INSTRUCT)

    assert {"completion", "insert"} <= set(base.capabilities)
    assert "completion" in instruct.capabilities
    assert "insert" not in instruct.capabilities
    assert any(name.endswith(".context_length") for name in base.modelinfo)


def test_a_chat_is_answered(client: ollama.Client) -> None:
    answer = client.chat(INSTRUCT, GREETING_TURN, options=GREEDY)

    assert answer.message.role == "assistant"
    assert answer.message.content == HELLO
    assert answer.done
    assert answer.done_reason == "stop"
    assert answer.prompt_eval_count > 0
    assert answer.eval_count > 0
    assert answer.total_duration > 0


def test_a_chat_is_streamed(client: ollama.Client) -> None:
    *pieces, last = client.chat(INSTRUCT, GREETING_TURN, options=GREEDY, stream=True)

    assert "".join(piece.message.content for piece in (*pieces, last)) == HELLO
    assert not any(piece.done for piece in pieces)
    assert last.done
    assert last.eval_count > 0


async def test_the_async_client_streams(server: Server) -> None:
    client = ollama.AsyncClient(host=server.url)
    stream = await client.chat(INSTRUCT, GREETING_TURN, options=GREEDY, stream=True)
    assert "".join([piece.message.content async for piece in stream]) == HELLO


def test_a_middle_is_filled_in(client: ollama.Client) -> None:
    answer = client.generate(BASE, PREFIX, suffix=SUFFIX, options=GREEDY)
    assert answer.response == MIDDLE
    assert answer.done_reason == "stop"


def test_a_middle_is_streamed(client: ollama.Client) -> None:
    pieces = client.generate(BASE, PREFIX, suffix=SUFFIX, options=GREEDY, stream=True)
    assert "".join(piece.response for piece in pieces) == MIDDLE


def test_a_text_goes_on(client: ollama.Client) -> None:
    assert client.generate(BASE, HEAD, raw=True, options=GREEDY).response == BODY


def test_a_prompt_for_an_instruct_model_is_an_instruction(client: ollama.Client) -> None:
    assert client.generate(INSTRUCT, GREETING, options=GREEDY).response == HELLO


def test_options_limit_and_stop_a_text(client: ollama.Client) -> None:
    short = client.generate(BASE, HEAD, raw=True, options=GREEDY | {"num_predict": 2})
    stopped = client.generate(BASE, HEAD, raw=True, options=GREEDY | {"stop": [" +"]})

    assert (short.done_reason, short.eval_count) == ("length", 2)
    assert stopped.response == BODY.partition(" +")[0]


def test_an_answer_matches_a_schema(client: ollama.Client) -> None:
    answer = client.chat(
        EMBEDDED,
        [{"role": "user", "content": QUESTION}],
        format=Place.model_json_schema(),
        options=GREEDY,
    )
    assert Place.model_validate_json(answer.message.content)


def test_tools_are_offered(client: ollama.Client) -> None:
    """Whether to call one is the model's choice; Ollama has no way to require it."""
    asked = [{"role": "user", "content": QUESTION}]
    answer = client.chat(EMBEDDED, asked, tools=[WEATHER_TOOL], options=GREEDY)

    for call in answer.message.tool_calls or []:
        assert call.function.name == WEATHER
        assert Place.model_validate(dict(call.function.arguments))
    assert answer.message.content or answer.message.tool_calls


def test_an_unknown_model_is_not_found(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="none") as refused:
        client.chat("none", GREETING_TURN)
    assert refused.value.status_code == 404


def test_a_suffix_for_an_instruct_model_is_refused(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError) as refused:
        client.generate(INSTRUCT, PREFIX, suffix=SUFFIX)
    assert refused.value.status_code == 400
