"""Streams of events that have a name, and an answer of calls to stream."""

import json
from typing import Any

import httpx

Events = list[dict[str, Any]]

CALLS = (
    '{"tool_calls":[{"name":"weather","arguments":{"city":"Köln"}},'
    '{"name":"weather","arguments":{"city":"Rom"}}]}'
)


def read_events(client: httpx.Client, path: str, body: dict[str, Any]) -> Events:
    """Post a request for a stream; all of its events, each named after its type."""
    response = client.post(path, json={**body, "stream": True})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    told = []
    for event in response.text.removesuffix("\n\n").split("\n\n"):
        if not event.startswith(":"):
            name, data = event.split("\n")
            told.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {told[-1]['type']}"
    return told
