"""A server whose models answer with text or with calls, and streams as clients read them."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.app.api.named_events import CALLS, Events, read_events


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
        told = read_events(client, "/v1/responses", body)
        assert [event["sequence_number"] for event in told] == list(range(len(told)))
        return told

    return read
