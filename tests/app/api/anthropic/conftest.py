"""A server whose models answer with text or with calls, and streams as clients read them."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.app.api.named_events import CALLS, Events, read_events


@pytest.fixture(scope="session")
def caller(start_server: Any, make_model: Any) -> Iterator[httpx.Client]:
    """A client of a server whose model "caller" answers with two calls, a byte per token."""
    with start_server(make_model("caller", script=CALLS)) as server, server.client() as client:
        yield client


@pytest.fixture
def events() -> Callable[..., Events]:
    """Post a request for a streamed message; all of its events."""

    def read(client: httpx.Client, **body: Any) -> Events:
        return read_events(client, "/v1/messages", body)

    return read
