"""The published client of OpenAI, unchanged, against POST /v1/responses."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import FunctionToolParam, Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

TOOL: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}
EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture
def calling_client(caller: httpx.Client) -> Iterator[openai.OpenAI]:
    url = str(caller.base_url.join("/v1"))
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


def test_a_response(sync_client: openai.OpenAI) -> None:
    response = sync_client.responses.create(model="fast", input="hi", max_output_tokens=9)
    Response.model_validate(response.to_dict(), strict=True)
    assert response.output_text == "Grüße a"
    assert response.status == "incomplete"
    assert response.usage is not None
    assert response.usage.output_tokens == 9


def test_the_input_is_counted(sync_client: openai.OpenAI) -> None:
    response = sync_client.responses.create(model="fast", input="hi", max_output_tokens=1)
    assert response.usage is not None
    counted = sync_client.responses.input_tokens.count(model="fast", input="hi")
    assert counted.input_tokens == response.usage.input_tokens


def test_every_event_is_one_that_the_client_knows(sync_client: openai.OpenAI) -> None:
    stream = sync_client.responses.create(
        model="fast",
        input="hi",
        max_output_tokens=9,
        top_logprobs=1,
        include=["message.output_text.logprobs"],
        stream=True,
    )
    events = list(stream)
    for event in events:
        assert type(EVENT.validate_python(event.to_dict())) is type(event)
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.output_text == "Grüße a"


def test_the_streaming_helper_follows_calls(calling_client: openai.OpenAI) -> None:
    with calling_client.responses.stream(model="caller", input="hi", tools=[TOOL]) as stream:
        response = stream.get_final_response()
    calls = [item for item in response.output if item.type == "function_call"]
    assert [call.parsed_arguments for call in calls] == [{"city": "Köln"}, {"city": "Rom"}]


class City(BaseModel):
    city: str


def test_text_is_parsed(calling_client: openai.OpenAI) -> None:
    response = calling_client.responses.parse(model="writer", input="hi", text_format=City)
    assert response.output_parsed == City(city="Köln")


def test_the_streaming_helper_follows_text(sync_client: openai.OpenAI) -> None:
    with sync_client.responses.stream(model="fast", input="hi", max_output_tokens=9) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
    assert "".join(pieces) == "Grüße a"


async def test_the_asynchronous_client(async_client: openai.AsyncOpenAI) -> None:
    stream = await async_client.responses.create(
        model="fast", input="hi", max_output_tokens=9, stream=True
    )
    pieces = [event.delta async for event in stream if event.type == "response.output_text.delta"]
    assert "".join(pieces) == "Grüße a"


def test_errors_have_their_classes(sync_client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        sync_client.responses.retrieve("resp_1")
    with pytest.raises(openai.NotFoundError) as unknown:
        sync_client.responses.create(model="none", input="hi")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as stateful:
        sync_client.responses.create(model="fast", input="hi", previous_response_id="resp_1")
    assert stateful.value.param == "previous_response_id"


def test_a_failure_in_mid_stream_is_an_exception(start_server: Any, make_model: Any) -> None:
    with (
        start_server(make_model("mortal", crash_after=4, step_seconds=0.1)) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        stream = client.responses.create(model="mortal", input="a", stream=True)
        with pytest.raises(openai.APIError) as lost:
            for _ in stream:
                pass
    assert lost.value.code == "engine_restarted"
