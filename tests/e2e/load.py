"""Clients of every kind, who see that each request ends as it should."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import httpx

LOST = frozenset({"engine_restarted", "model_unavailable"})
"""Codes of errors that a request may get because its worker was lost."""
REFUSED = frozenset({"model_not_found", "invalid_type"})
"""Codes of errors that a request asks for."""


class Clients:
    """Sends requests of changing kinds and counts how they end."""

    def __init__(self, url: str, models: Sequence[str], max_tokens: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._models = models
        self._max_tokens = max_tokens
        self._http = httpx.AsyncClient(base_url=url, timeout=60)

    async def __aenter__(self) -> "Clients":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.aclose()

    async def send(self, numbers: Iterable[int], together: int) -> None:
        """Send the requests of these numbers, as many ``together``."""
        left = iter(numbers)

        async def client() -> None:
            for number in left:
                self.outcomes[await self.ask(number)] += 1

        async with asyncio.TaskGroup() as clients:
            for _ in range(together):
                clients.create_task(client())

    async def ask(self, number: int) -> str:
        """Send one request: how it ended, if that was a result or a typed error."""
        body = self._body(number)
        match number % 10:
            case 0 | 1 | 2:
                return await self._whole("/v1/completions", body)
            case 3 | 4:
                return await self._stream("/v1/completions", body)
            case 5:
                chat = {"messages": [{"role": "user", "content": body["prompt"]}]}
                return await self._stream("/v1/chat/completions", body | chat)
            case 6:
                return await self._hang_up(body | {"max_tokens": 200})
            case 7:
                return await self._stream("/v1/completions", body | {"n": 3})
            case 8:
                return await self._whole("/v1/completions", body | {"model": f"none-{number}"})
            case _:
                return await self._whole("/v1/completions", body | {"temperature": "hot"})

    def _body(self, number: int) -> dict[str, Any]:
        return {
            "model": self._models[number // 10 % len(self._models)],
            "prompt": f"def f{number}(x):\n    return",
            "max_tokens": self._max_tokens,
        }

    async def _whole(self, path: str, body: dict[str, Any]) -> str:
        answer = await self._http.post(path, json=body)
        if answer.status_code != 200:
            return _code(answer.status_code, answer.json())
        assert answer.json()["choices"]
        return "ok"

    async def _stream(self, path: str, body: dict[str, Any]) -> str:
        async with self._http.stream("POST", path, json=body | {"stream": True}) as answer:
            if answer.status_code != 200:
                return _code(answer.status_code, json.loads(await answer.aread()))
            *_, last, done = [line async for line in answer.aiter_lines() if line[:5] == "data:"]
        assert done == "data: [DONE]"
        event = json.loads(last[5:])
        return _code(200, event) if "error" in event else "ok"

    async def _hang_up(self, body: dict[str, Any]) -> str:
        path = "/v1/completions"
        async with self._http.stream("POST", path, json=body | {"stream": True}) as answer:
            if answer.status_code != 200:
                return _code(answer.status_code, json.loads(await answer.aread()))
            await anext(answer.aiter_lines())
        return "hung up"


def _code(status: int, body: dict[str, Any]) -> str:
    """The code of a typed error."""
    error = body["error"]
    allowed = LOST if status in (200, 503) else REFUSED
    assert error["code"] in allowed, (status, body)
    return str(error["code"])
