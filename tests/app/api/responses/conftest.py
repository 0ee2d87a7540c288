"""A server whose models answer with text or with calls, and streams as clients read them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

Events = list[dict[str, Any]]

CALLS = (
    '{"tool_calls":[{"name":"weather","arguments":{"city":"Köln"}},'
    '{"name":"weather","arguments":{"city":"Rom"}}]}'
)


@pytest.fixture(scope="session")
def caller(start_server: Any, make_model: Any) -> Iterator[httpx.Client]:
    """A client of a server whose model "caller" answers with two calls, and "writer" with JSON."""
    models = make_model("caller", script=CALLS), make_model("writer", script='{"city":"Köln"}')
    with start_server(*models) as server, server.client() as client:
        yield client


@pytest.fixture
def events() -> Callable[..., Events]:
    """Post a request for a stream of responses; all of its events."""

    def read(client: httpx.Client, **body: Any) -> Events:
        response = client.post("/v1/responses", json={**body, "stream": True})
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        told = []
        for event in response.text.removesuffix("\n\n").split("\n\n"):
            if not event.startswith(":"):
                name, data = event.split("\n")
                told.append(json.loads(data.removeprefix("data: ")))
                assert name == f"event: {told[-1]['type']}"
        assert [event["sequence_number"] for event in told] == list(range(len(told)))
        return told

    return read
