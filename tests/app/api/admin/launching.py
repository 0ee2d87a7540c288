"""Launches of the fake engine, as clients ask for them."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from tests.eventually import DEADLINE_SECONDS


def fake(model_uid: str = "mine", **options: Any) -> dict[str, Any]:
    """The body that launches a fake model."""
    return {
        "model_uid": model_uid,
        "model_path": "/dev/null",
        "model_engine": "fake",
        "script": "Hello.",
        **options,
    }


def launch(client: httpx.Client, **fields: Any) -> httpx.Response:
    """Launch a fake model and wait until it is ready."""
    return client.post("/v1/models", json=fake(**fields))


def begin(client: httpx.Client, **fields: Any) -> Any:
    """Begin to launch a fake model; the job."""
    response = client.post("/v1/models", json=fake(**fields), params={"wait_ready": False})
    assert response.status_code == 200, response.text
    return response.json()["job"]


def states(client: httpx.Client) -> dict[str, str]:
    """The state of each model by its id."""
    return {model["id"]: model["state"] for model in client.get("/v1/models").json()["data"]}


def events(response: httpx.Response) -> Iterator[Any]:
    """What the server-sent events of a stream say."""
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def wait_until(condition: Callable[[], object]) -> None:
    """Return as soon as ``condition`` holds; fail at the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
