"""Streams as clients read them."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Chunks = list[dict[str, Any]]


@pytest.fixture
def stream(client: httpx.Client) -> Callable[[str, dict[str, Any]], Chunks]:
    """Post a request for a stream; all of its chunks, once it has ended well."""

    def read(path: str, body: dict[str, Any]) -> Chunks:
        response = client.post(path, json={**body, "stream": True})
        assert response.status_code == 200, response.text
        events = response.text.removesuffix("\n\n").split("\n\n")
        data = [event.removeprefix("data: ") for event in events if not event.startswith(":")]
        assert data.pop() == "[DONE]"
        return [json.loads(item) for item in data]

    return read
