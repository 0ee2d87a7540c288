"""LiteLLM, which tells errors apart by their words."""

from typing import Any

import litellm
import pytest

from tests.clients.examples import BODY, GREETING_TURN, HEAD, HELLO, SUFFIX
from tests.clients.server import BASE, INSTRUCT, Server


def chat(server: Server, model: str = INSTRUCT, **fields: Any) -> Any:
    return litellm.completion(
        **{"model": f"openai/{model}", "messages": GREETING_TURN, "temperature": 0, **fields},
        api_base=server.api,
        api_key="none",
        max_retries=0,
    )


def complete(server: Server, **fields: Any) -> Any:
    return litellm.text_completion(
        model=f"text-completion-openai/{BASE}",
        prompt=HEAD,
        temperature=0,
        max_tokens=64,
        api_base=server.api,
        api_key="none",
        max_retries=0,
        **fields,
    )


def test_a_chat_is_answered(server: Server) -> None:
    answer = chat(server)

    assert answer.choices[0].message.content == HELLO
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_chat_is_streamed_with_its_usage(server: Server) -> None:
    chunks = list(chat(server, stream=True, stream_options={"include_usage": True}))
    whole = litellm.stream_chunk_builder(chunks, messages=GREETING_TURN)

    assert whole.choices[0].message.content == HELLO
    assert whole.usage.prompt_tokens == chat(server).usage.prompt_tokens


async def test_a_chat_is_streamed_without_blocking(server: Server) -> None:
    stream = await litellm.acompletion(
        model=f"openai/{INSTRUCT}",
        messages=GREETING_TURN,
        temperature=0,
        stream=True,
        api_base=server.api,
        api_key="none",
    )
    text = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(text) == HELLO


def test_a_text_goes_on(server: Server) -> None:
    assert complete(server).choices[0].text == BODY


def test_a_middle_is_filled_in(server: Server) -> None:
    answer = complete(server, suffix=SUFFIX)
    assert answer.choices[0].finish_reason == "stop"
    assert "return" not in answer.choices[0].text


def test_a_text_is_streamed(server: Server) -> None:
    chunks = list(complete(server, stream=True))
    assert "".join(chunk.choices[0].text or "" for chunk in chunks) == BODY


def test_a_chat_that_is_too_long_exceeds_the_context_window(server: Server) -> None:
    with pytest.raises(litellm.ContextWindowExceededError):
        chat(server, messages=[{"role": "user", "content": "word " * 600}])


def test_an_unknown_model_is_not_found(server: Server) -> None:
    with pytest.raises(litellm.NotFoundError):
        chat(server, "none")


def test_a_wrong_field_is_a_bad_request(server: Server) -> None:
    with pytest.raises(litellm.BadRequestError) as refused:
        chat(server, temperature=3)

    assert not isinstance(refused.value, litellm.ContextWindowExceededError)
    assert "temperature" in str(refused.value)
