"""Streams as Ollama's clients read them: a JSON document a line."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Lines = list[dict[str, Any]]


@pytest.fixture
def stream(client: httpx.Client) -> Callable[..., Lines]:
    """Post a request; all lines of its stream."""

    def read(path: str, body: dict[str, Any]) -> Lines:
        response = client.post(path, json=body)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/x-ndjson"
        assert response.text.endswith("}\n")
        return [json.loads(line) for line in response.text.splitlines()]

    return read
