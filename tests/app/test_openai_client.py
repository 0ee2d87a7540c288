"""The published client of OpenAI, unchanged, against the server."""

import asyncio
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

HELLO: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "hi"}]


def test_models_are_listed_and_shown(sync_client: openai.OpenAI) -> None:
    assert "fast" in [model.id for model in sync_client.models.list()]
    assert sync_client.models.retrieve("fast").owned_by == "codeserve"


def test_a_completion(sync_client: openai.OpenAI) -> None:
    completion = sync_client.completions.create(model="fast", prompt="a", stop=["aus"])
    assert completion.choices[0].text == "Grüße "
    assert completion.choices[0].finish_reason == "stop"
    assert completion._request_id


def test_a_chat_with_several_choices(sync_client: openai.OpenAI) -> None:
    chat = sync_client.chat.completions.create(
        model="fast", messages=HELLO, n=3, max_completion_tokens=2
    )
    assert [choice.message.content for choice in chat.choices] == ["Gr", "Gr", "Gr"]
    assert chat.usage is not None
    assert chat.usage.completion_tokens == 6


def test_a_stream_of_a_completion(sync_client: openai.OpenAI) -> None:
    stream = sync_client.completions.create(model="fast", prompt="a", stop="aus", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == "Grüße "


def test_the_streaming_helper_puts_choices_together(sync_client: openai.OpenAI) -> None:
    with sync_client.chat.completions.stream(
        model="fast",
        messages=HELLO,
        n=2,
        stop="!",
        stream_options={"include_usage": True},
    ) as stream:
        chat = stream.get_final_completion()
    assert [choice.message.role for choice in chat.choices] == ["assistant", "assistant"]
    assert {choice.message.content for choice in chat.choices} == {"Grüße aus Köln 🙂"}
    assert chat.usage is not None
    assert chat.usage.completion_tokens == 46


def test_errors_have_their_classes(sync_client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        sync_client.completions.create(model="none", prompt="a")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as long:
        sync_client.completions.create(model="short", prompt="a" * 40)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.InternalServerError):
        sync_client.completions.create(model="broken", prompt="a")


def test_a_failure_in_mid_stream_is_an_exception(start_server: Any, make_model: Any) -> None:
    with (
        start_server(make_model("mortal", crash_after=4, step_seconds=0.1)) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        stream = client.completions.create(model="mortal", prompt="a", max_tokens=99, stream=True)
        with pytest.raises(openai.APIError) as lost:
            for _ in stream:
                pass
    assert lost.value.code == "engine_restarted"


async def test_chats_run_side_by_side(async_client: openai.AsyncOpenAI) -> None:
    chats = [
        async_client.chat.completions.create(model="fast", messages=HELLO, max_tokens=20)
        for _ in range(8)
    ]
    texts = {chat.choices[0].message.content for chat in await asyncio.gather(*chats)}
    assert len(texts) == 1


async def test_a_stream_of_a_chat(async_client: openai.AsyncOpenAI) -> None:
    stream = await async_client.chat.completions.create(
        model="fast", messages=HELLO, stop="aus", stream=True
    )
    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(pieces) == "Grüße "
