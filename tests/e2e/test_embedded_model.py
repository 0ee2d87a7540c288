import asyncio
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError
from openai.types import Completion
from openai.types.chat import ChatCompletionUserMessageParam

from tests.e2e.server import Server

MODEL = "smollm2-135m-instruct"
QUESTION: list[ChatCompletionUserMessageParam] = [
    {"role": "user", "content": "What is the capital of France? Answer in one word."}
]


def test_a_text_goes_on_with_what_the_model_knows(server: Server) -> None:
    answer = server.client.completions.create(
        model=MODEL, prompt="The capital of France is", temperature=0, max_tokens=3
    )

    assert answer.choices[0].text.startswith(" Paris")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 5
    assert answer.usage.total_tokens == 5 + answer.usage.completion_tokens


def test_a_request_that_does_not_say_is_sampled_as_the_model_card_does(server: Server) -> None:
    def text(**sampling: Any) -> str:
        completion: Completion = server.client.completions.create(
            model=MODEL, prompt="Once upon a time", max_tokens=24, seed=5, **sampling
        )
        return completion.choices[0].text

    text()  # the others find its prompt cached
    assert text() == text(temperature=0.2, top_p=0.9) != text(temperature=1, top_p=1)


def test_a_stream_adds_up_to_the_whole_answer(server: Server) -> None:
    """On a model that is sure of its words: rounding depends on what is cached."""
    messages: Any = [{"role": "user", "content": "Count to 9."}]
    _, whole = [  # the second finds its prompt cached, as the stream does
        server.client.chat.completions.create(
            model="tiny-instruct", messages=messages, temperature=0.3, seed=7, max_tokens=48
        )
        for _ in range(2)
    ]
    stream = server.client.chat.completions.create(
        model="tiny-instruct",
        messages=messages,
        temperature=0.3,
        seed=7,
        max_tokens=48,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = stream

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.usage == whole.usage
    assert {chunk.id for chunk in chunks} == {last.id}


async def test_concurrent_streams_of_the_async_client_all_complete(server: Server) -> None:
    async def count_tokens(client: AsyncOpenAI, number: int) -> int:
        stream = await client.completions.create(
            model=MODEL,
            prompt=f"The number {number} is",
            max_tokens=20,
            temperature=1,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"logit_bias": {"0": -100, "2": -100}},
        )
        usage = [chunk.usage async for chunk in stream][-1]
        assert usage is not None
        return usage.completion_tokens

    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        counts = await asyncio.gather(*(count_tokens(client, number) for number in range(8)))

    assert counts == [20] * 8


def test_a_stop_string_ends_the_text_and_is_not_shown(server: Server) -> None:
    prompt = "Count: 1, 2, 3, 4, 5, 6,"
    answer = server.client.completions.create(
        model=MODEL, prompt=prompt, temperature=0, max_tokens=32, stop=["10"]
    )

    assert answer.choices[0].text.rstrip() == " 7, 8, 9,"
    assert answer.choices[0].finish_reason == "stop"


def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(server: Server) -> None:
    with pytest.raises(BadRequestError, match=r"2048 tokens.* 3000 tokens") as refused:
        server.client.completions.create(model=MODEL, prompt=[300] * 3000, stream=True)

    assert refused.value.code == "context_length_exceeded"


def test_more_tokens_than_fit_are_clamped_and_end_with_length(server: Server) -> None:
    answer = server.client.completions.create(
        model=MODEL,
        prompt=[300] * 2040,
        max_tokens=4096,
        temperature=0,
        logit_bias={"0": -100, "2": -100},
    )

    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 2048


def test_a_suffix_for_a_model_without_fim_is_refused(server: Server) -> None:
    with pytest.raises(BadRequestError, match="takes no suffix") as refused:
        server.client.completions.create(model=MODEL, prompt="a = ", suffix="\n")

    assert refused.value.code == "fim_not_supported"


def test_an_unknown_model_is_not_found_and_near_names_are_given(server: Server) -> None:
    with pytest.raises(NotFoundError, match=MODEL) as missing:
        server.client.completions.create(model="smollm2-135m-instuct", prompt="a")

    assert missing.value.code == "model_not_found"


def test_the_curl_that_the_server_prints_streams_an_answer(server: Server) -> None:
    command = re.search(r"curl -N .*?\n\n", server.welcome, re.DOTALL)
    assert command
    done = subprocess.run(
        [*shlex.split(command[0].replace("\\\n", " ")), "--max-time", "60"],
        capture_output=True,
        text=True,
        check=True,
    )

    events = [line.removeprefix("data: ") for line in done.stdout.splitlines() if line]
    assert json.loads(events[0])["choices"][0]["delta"]["role"] == "assistant"
    assert events[-1] == "[DONE]"


def test_the_python_that_the_server_prints_streams_an_answer(server: Server) -> None:
    snippet = re.search(r"^from openai.*?flush=True\)", server.welcome, re.DOTALL | re.MULTILINE)
    assert snippet
    command = [sys.executable, "-c", snippet[0]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert len(done.stdout) > 20


def test_the_examples_of_the_readme_run(server: Server) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    section = readme.partition("## First requests")[2].partition("## ")[0]
    blocks = dict(re.findall(r"```(bash|python)\n(.*?)```", section, re.DOTALL))
    bash, python = (
        blocks[language].replace("http://127.0.0.1:8000", server.url)
        for language in ("bash", "python")
    )

    curled = subprocess.run(["bash", "-c", bash], capture_output=True, text=True, check=True)
    ran = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, check=True)

    assert json.loads(curled.stdout)["choices"][0]["message"]["content"]
    assert ran.stdout.strip()


def test_the_server_says_what_it_serves(server: Server) -> None:
    listed = {model.id for model in server.client.models.list()}
    shown = server.model(MODEL)
    ready = httpx.get(f"{server.url}/readyz", params={"model": MODEL}, timeout=60)

    assert listed == {MODEL, "tiny-base", "tiny-instruct"}
    assert shown["state"] == "ready"
    assert shown["context_length"] == 2048
    assert ready.status_code == 200
    assert httpx.get(f"{server.url}/livez", timeout=60).json() == {"status": "ok"}
