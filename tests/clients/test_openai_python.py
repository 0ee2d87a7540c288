"""OpenAI's client for Python, in every style it offers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest

from tests.clients.examples import GREETING_TURN, HELLO, MIDDLE, PREFIX, SUFFIX
from tests.clients.server import BASE, EMBEDDED, INSTRUCT, Server, write_models

GREET: Any = {
    "model": INSTRUCT,
    "messages": GREETING_TURN,
    "temperature": 0,
}
FIM: Any = {"model": BASE, "prompt": PREFIX, "suffix": SUFFIX, "temperature": 0}

NARROW = """
[[models]]
id = "smollm2-135m-instruct"
model_name = "smollm2-instruct"
max_concurrency = 1
options = { tune = false, draft = false }

[[models]]
id = "tiny-base"
path = "tiny-deepseek-coder.gguf"
family = "deepseek-coder"
options = { tune = false }
"""
WAITING = 256
"""Requests that a model lets wait, beside the one of this server that runs."""
UNENDING = {"0": -100, "2": -100}
"""A bias against the tokens that end a text of the embedded model."""


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.api, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(server: Server) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=server.api, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that is soon full and whose engines get killed."""
    running = Server.start(write_models(tmp_path_factory.mktemp("narrow")), NARROW)
    yield running
    running.end()


def test_models_are_listed_and_shown(client: openai.OpenAI) -> None:
    assert {BASE, INSTRUCT} <= {model.id for model in client.models.list()}
    assert client.models.retrieve(BASE).owned_by == "codeserve"


def test_a_middle_is_filled_in(client: openai.OpenAI) -> None:
    completion = client.completions.create(**FIM)
    assert completion.choices[0].text == MIDDLE
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion._request_id


def test_a_completion_is_streamed(client: openai.OpenAI) -> None:
    chunks = list(client.completions.create(**FIM, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == MIDDLE
    assert len(chunks) > 1


def test_a_chat_is_answered(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(**GREET)
    assert chat.choices[0].message.content == HELLO
    assert chat.choices[0].finish_reason == "stop"


def test_a_chat_is_streamed_with_its_usage(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(**GREET)
    *chunks, last = client.chat.completions.create(
        **GREET, stream=True, stream_options={"include_usage": True}
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == HELLO
    assert {chunk.usage for chunk in chunks} == {None}
    assert last.choices == []
    assert last.usage is not None
    assert whole.usage is not None
    assert last.usage.total_tokens == whole.usage.total_tokens


def test_the_streaming_helper_puts_choices_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        **GREET, n=2, stream_options={"include_usage": True}
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        chat = stream.get_final_completion()
    assert len(deltas) > 2
    assert [choice.message.content for choice in chat.choices] == [HELLO] * 2
    assert [choice.message.role for choice in chat.choices] == ["assistant"] * 2
    assert chat.usage is not None


def test_raw_responses_show_headers(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(**GREET)
    assert raw.headers["x-request-id"] == raw.request_id
    assert raw.headers["content-type"].startswith("application/json")
    assert raw.parse().choices[0].message.content == HELLO


def test_a_streamed_raw_response_is_read_line_by_line(client: openai.OpenAI) -> None:
    with client.chat.completions.with_streaming_response.create(**GREET, stream=True) as raw:
        lines = [line for line in raw.iter_lines() if line]
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"


def test_errors_have_their_classes(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.completions.create(**FIM | {"model": "none"})
    assert unknown.value.code == "model_not_found"
    assert unknown.value.request_id
    with pytest.raises(openai.BadRequestError, match="maximum context length is 512") as long:
        client.completions.create(model=BASE, prompt="a " * 600)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as hot:
        client.chat.completions.create(**GREET | {"temperature": 3})
    assert hot.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        client.post("/nothing", cast_to=object, body={})


def test_a_timeout_of_the_client_leaves_it_usable(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.completions.create(
            model=EMBEDDED, prompt="Once", max_tokens=400, logit_bias=UNENDING, timeout=0.2
        )
    assert client.completions.create(**FIM).choices[0].text == MIDDLE


async def test_chats_run_side_by_side(async_client: openai.AsyncOpenAI) -> None:
    chats = await asyncio.gather(
        *(async_client.chat.completions.create(**GREET) for _ in range(12))
    )
    assert {chat.choices[0].message.content for chat in chats} == {HELLO}


async def test_the_async_client_streams(async_client: openai.AsyncOpenAI) -> None:
    async with async_client.chat.completions.stream(**GREET) as stream:
        chat = await stream.get_final_completion()
    assert chat.choices[0].message.content == HELLO


async def test_an_async_stream_may_be_left_early(async_client: openai.AsyncOpenAI) -> None:
    stream = await async_client.chat.completions.create(**GREET, stream=True)
    async for _ in stream:
        break
    await stream.close()
    chat = await async_client.chat.completions.create(**GREET)
    assert chat.choices[0].message.content == HELLO


async def test_a_full_queue_is_waited_for(narrow: Server) -> None:
    """One long request runs, as many as allowed wait, and the rest come again when told to."""
    story: Any = {"model": EMBEDDED, "prompt": "Once", "logit_bias": UNENDING}
    async with openai.AsyncOpenAI(base_url=narrow.api, api_key="none", max_retries=60) as client:
        completions = client.completions.with_raw_response
        long = completions.create(**story, max_tokens=250)
        short = [completions.create(**story, max_tokens=1) for _ in range(WAITING + 20)]
        answers = await asyncio.gather(long, *short)

    assert all(answer.parse().choices[0].finish_reason == "length" for answer in answers)
    assert sum(answer.retries_taken > 0 for answer in answers) >= 1


def test_a_full_queue_says_when_to_come_again(narrow: Server) -> None:
    async def first_refusal() -> openai.RateLimitError:
        story: Any = {"model": EMBEDDED, "prompt": "Once", "logit_bias": UNENDING}
        async with openai.AsyncOpenAI(base_url=narrow.api, api_key="none", max_retries=0) as client:
            tasks = [
                asyncio.create_task(client.completions.create(**story, max_tokens=250))
                for _ in range(WAITING + 2)
            ]
            done, running = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in running:
                task.cancel()
            [refusal] = [error for task in done if (error := task.exception())][:1]
        assert isinstance(refusal, openai.RateLimitError)
        return refusal

    refused = asyncio.run(first_refusal())
    assert refused.code == "rate_limit_exceeded"
    assert int(refused.response.headers["retry-after"]) >= 1


def test_a_restarting_engine_is_waited_for(narrow: Server) -> None:
    with openai.OpenAI(base_url=narrow.api, api_key="none", max_retries=0) as impatient:
        assert impatient.completions.create(**FIM).choices[0].text == MIDDLE
        narrow.kill_workers()
        with pytest.raises(openai.InternalServerError) as refused:
            impatient.completions.create(**FIM)
        assert refused.value.status_code == 503
        assert int(refused.value.response.headers["retry-after"]) >= 1
        patient = impatient.with_options(max_retries=20)
        answer = patient.completions.with_raw_response.create(**FIM)

    assert answer.retries_taken >= 1
    assert answer.parse().choices[0].text == MIDDLE
