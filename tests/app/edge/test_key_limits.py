"""What a key may have is what its holder gets, over HTTP."""

import asyncio
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
    add_key(path, "frugal", tokens_per_minute=20)
    with start_server(make_model("a", max_concurrency=64), keys=path) as server:
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


def test_tokens_are_charged_when_they_have_been_used(limited: RunningServer) -> None:
    with client_of(limited, "frugal") as client:
        first = client.post("/v1/completions", json=ASK)
        assert first.headers["x-ratelimit-remaining-tokens"] == "20"
        with client.stream("POST", "/v1/completions", json={**ASK, "stream": True}) as second:
            second.read()
        used = first.json()["usage"]["total_tokens"]
        assert used == 16
        assert second.headers["x-ratelimit-remaining-tokens"] in ("4", "5")
        refused = client.post("/v1/completions", json=ASK)
        assert refused.status_code == 429
        assert refused.json()["error"]["type"] == "tokens"
        assert 0 < int(refused.headers["retry-after"]) <= 120
        assert client.get("/v1/models").status_code == 200, "looking costs nothing"


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
