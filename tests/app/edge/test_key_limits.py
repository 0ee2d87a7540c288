"""What a key may have is what its holder gets, over HTTP."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from codeserve.app.edge.errors import OpenAIErrors
from codeserve.app.edge.key_limits import KeyLimits
from codeserve.app.edge.record import RequestRecord
from codeserve.app.keys.allowances import Allowances
from codeserve.app.keys.key import ApiKey
from tests.app.conftest import RunningServer
from tests.app.keys.keys import add_key, make_key
from tests.eventually import eventually

RACERS = 200
ASK = {"model": "a", "prompt": "0123456789", "max_tokens": 5}
DURATION = re.compile(r"(\d+m)?\d+s|\d+ms")


@pytest.fixture(scope="module")
def limited(
    tmp_path_factory: pytest.TempPathFactory, start_server: Any, make_model: Any
) -> Iterator[RunningServer]:
    path: Path = tmp_path_factory.mktemp("keys") / "keys.toml"
    add_key(path, "racer", requests_per_minute=50)
    add_key(path, "twice", requests_per_minute=2)
    for name in ("frugal", "small"):
        add_key(path, name, tokens_per_minute=20)
    add_key(path, "sprinter", tokens_per_minute=10 * 16)
    for name in ("brief", "gone", "chatty"):
        add_key(path, name, tokens_per_minute=1000)
    models = make_model("a", max_concurrency=64), make_model("slow", step_seconds=0.02)
    with start_server(*models, keys=path) as server:
        yield server


def client_of(server: RunningServer, token: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"api-key": token}, timeout=30)


async def test_of_200_requests_at_once_exactly_as_many_are_served_as_may_be(
    limited: RunningServer,
) -> None:
    headers = {"api-key": "racer"}
    async with httpx.AsyncClient(base_url=limited.url, headers=headers, timeout=60) as client:
        racing = (client.post("/v1/completions", json=ASK) for _ in range(RACERS))
        answers = await asyncio.gather(*racing)
    assert Counter(answer.status_code for answer in answers) == {200: 50, 429: 150}


def test_a_refusal_says_what_is_used_up_and_until_when(limited: RunningServer) -> None:
    with client_of(limited, "twice") as client:
        for left in ("1", "0"):
            served = client.post("/v1/completions", json=ASK)
            assert served.status_code == 200
            assert served.headers["x-ratelimit-limit-requests"] == "2"
            assert served.headers["x-ratelimit-remaining-requests"] == left
        refused = client.post("/v1/completions", json=ASK)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert "'twice' may send 2 requests per minute" in refused.json()["error"]["message"]
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert DURATION.fullmatch(refused.headers["x-ratelimit-reset-requests"])
    assert 0 < int(refused.headers["retry-after"]) <= 60


async def test_of_200_requests_at_once_exactly_as_many_are_served_as_there_are_tokens_for(
    limited: RunningServer,
) -> None:
    headers = {"api-key": "sprinter"}
    async with httpx.AsyncClient(base_url=limited.url, headers=headers, timeout=60) as client:
        racing = (
            client.post("/v1/completions", json={**ASK, "stream": number % 2 == 0})
            for number in range(RACERS)
        )
        answers = await asyncio.gather(*racing)
    assert Counter(answer.status_code for answer in answers) == {200: 10, 429: 190}
    for answer in answers:
        if answer.status_code == 429:
            assert answer.json()["error"]["type"] == "tokens"
            assert 0 < int(answer.headers["retry-after"]) <= 120


def test_tokens_are_reserved_before_they_are_used(limited: RunningServer) -> None:
    with client_of(limited, "frugal") as client:
        first = client.post("/v1/completions", json=ASK)
        assert first.json()["usage"]["total_tokens"] == 16
        assert first.headers["x-ratelimit-remaining-tokens"] == "4"
        refused = client.post("/v1/completions", json={**ASK, "stream": True})
        assert refused.status_code == 429
        assert "and the request needs 16" in refused.json()["error"]["message"]
        assert refused.headers["x-ratelimit-remaining-tokens"] in ("4", "5")
        assert 0 < int(refused.headers["retry-after"]) <= 120
        assert client.get("/v1/models").status_code == 200, "looking costs nothing"


def test_what_never_fits_is_no_matter_of_waiting(limited: RunningServer) -> None:
    with client_of(limited, "small") as client:
        refused = client.post("/v1/completions", json={**ASK, "max_tokens": 10})
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "tokens_per_minute_exceeded"
        assert "may use 21 tokens, 11 of its prompt and 10" in refused.json()["error"]["message"]
        assert client.post("/v1/completions", json=ASK).status_code == 200


def test_what_a_request_has_not_used_is_there_for_the_next(limited: RunningServer) -> None:
    ask = {**ASK, "max_tokens": 900, "stop": ["r"]}
    with client_of(limited, "brief") as client:
        assert [client.post("/v1/completions", json=ask).status_code for _ in "abcd"] == [200] * 4


async def test_a_request_that_is_broken_off_is_charged_what_it_got(limited: RunningServer) -> None:
    ask = {**ASK, "model": "slow", "max_tokens": 900, "stream": True}
    short = {**ASK, "max_tokens": 200}
    headers = {"api-key": "gone"}
    async with httpx.AsyncClient(base_url=limited.url, headers=headers, timeout=60) as client:
        async with client.stream("POST", "/v1/completions", json=ask) as broken_off:
            lines = broken_off.aiter_lines()
            await anext(lines)
            assert (await client.post("/v1/completions", json=short)).status_code == 429
        while (answer := await client.post("/v1/completions", json=short)).status_code == 429:
            pass
    left = int(answer.headers["x-ratelimit-remaining-tokens"])
    assert 500 < left < 1000 - 211 - 11


def test_without_max_tokens_an_answer_goes_on_as_long_as_there_are_tokens(
    limited: RunningServer,
) -> None:
    ask = {"model": "a", "messages": [{"role": "user", "content": "a"}], "stream": True}
    with client_of(limited, "chatty") as client:
        text = client.post("/v1/chat/completions", json=ask).text
    *events, failure, done = text.removesuffix("\n\n").split("\n\n")
    error = json.loads(failure.removeprefix("data: "))["error"]
    assert (error["type"], done) == ("tokens", "data: [DONE]")
    assert "the request needs 256 more" in error["message"]
    assert events


async def test_of_200_requests_at_once_exactly_as_many_run_as_may() -> None:
    key = make_key("a", max_concurrency=8)
    end = asyncio.Event()
    running = 0

    async def hold(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal running
        running += 1
        await end.wait()

    app = KeyLimits(hold, Allowances())
    refused: list[int] = []
    async with asyncio.TaskGroup() as tasks:
        for _ in range(RACERS):
            tasks.create_task(_request(app, key, refused))
        await eventually(lambda: running + len(refused) == RACERS)
        assert (running, refused) == (8, [429] * 192)
        end.set()
    await _request(app, key, refused)
    assert running == 9, "the places are free again"


async def _request(app: KeyLimits, key: ApiKey, statuses: list[int]) -> None:
    state = {"record": RequestRecord("r"), "error_shape": OpenAIErrors(), "key": key}
    scope = {"type": "http", "method": "POST", "path": "/v1/completions", "state": state}

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
