"""A running server, as the commands that talk to one see it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import httpx
from httpx_sse import EventSource, SSEError

from codeserve.app.cli.failure import fail


class ServerClient:
    """Asks one server; whatever goes wrong ends the command with one line."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        self._http = httpx.Client(
            base_url=self._url, timeout=httpx.Timeout(10, read=None), follow_redirects=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def first_model(self) -> str:
        """The id of the first model that the server lists."""
        with self._failing_clearly():
            response = self._http.get("/v1/models")
            self._require_success(response)
            models = response.json()["data"]
        if not models:
            fail(f"{self._url} serves no model")
        return str(models[0]["id"])

    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The first choice of each event that the server answers a POST of ``body`` with."""
        with (
            self._failing_clearly(),
            self._http.stream("POST", path, json={**body, "stream": True}) as response,
        ):
            self._require_success(response)
            for event in EventSource(response).iter_sse():
                if event.data == "[DONE]":
                    return
                data = json.loads(event.data)
                if "error" in data:
                    fail(data["error"]["message"])
                yield from data["choices"][:1]
        fail(f"{self._url} ended the answer before it was complete")

    @contextmanager
    def _failing_clearly(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError:
            fail(f"no server answers at {self._url}; start one with: codeserve serve")
        except (SSEError, ValueError, LookupError, TypeError):
            fail(f"{self._url} does not answer like an OpenAI-compatible server")
        except httpx.HTTPError as error:
            fail(f"{self._url}: {str(error) or type(error).__name__}")

    def _require_success(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        response.read()
        try:
            fail(response.json()["error"]["message"])
        except (ValueError, LookupError, TypeError):
            fail(f"{self._url} answers {response.status_code} {response.reason_phrase}")
