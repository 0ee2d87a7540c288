"""A running server, as the commands that talk to one see it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import quote

import httpx
from httpx_sse import EventSource, SSEError

from codeserve.app.cli.failure import RUNTIME_ERROR, USAGE_ERROR, fail

MISTAKES = (400, 404, 409, 422)
"""Statuses that say that what was asked for cannot be."""

AT_ONCE = {"wait_ready": "false"}
"""Asks for an answer before a job has ended."""


class ServerClient:
    """Asks one server; whatever goes wrong ends the command with one line."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self._http = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(10, read=None),
            follow_redirects=True,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
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
            fail(f"{self.url} serves no model")
        return str(models[0]["id"])

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> Any:
        """What the server answers, decoded; a mistake of the user's is a usage error."""
        with self._failing_clearly():
            response = self._http.request(method, path, json=body, params=params)
            self._require_success(response, USAGE_ERROR)
            return response.json()

    def follow(self, path: str, params: Mapping[str, str | int] | None = None) -> Iterator[Any]:
        """The events of ``path``, decoded, until the server ends them."""
        with (
            self._failing_clearly(),
            self._http.stream("GET", path, params=params) as response,
        ):
            self._require_success(response, USAGE_ERROR)
            for event in EventSource(response).iter_sse():
                if event.data == "[DONE]":
                    return
                data = json.loads(event.data)
                if isinstance(data, dict) and isinstance(data.get("error"), dict):
                    fail(data["error"]["message"])
                yield data

    def entries(self, path: str, key: str, lines: int, *, follow: bool) -> Iterable[Any]:
        """The last ``lines`` entries of a journal, as ``key`` of the answer; with ``follow`` as
        events, and those to come."""
        if follow:
            return self.follow(path, {"lines": lines, "follow": "true"})
        answer: Mapping[str, Iterable[Any]] = self.ask("GET", path, params={"lines": lines})
        return answer[key]

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
        fail(f"{self.url} ended the answer before it was complete")

    @contextmanager
    def _failing_clearly(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                fail(
                    f"the certificate of {self.url} is not trusted here; put the authority that "
                    f"signed it into a file and name that in SSL_CERT_FILE ({error})"
                )
            fail(f"no server answers at {self.url}; start one with: codeserve serve")
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            fail(f"{self.url} is no address of a server; write one such as http://127.0.0.1:8000")
        except (SSEError, ValueError, LookupError, TypeError):
            fail(f"{self.url} does not answer like an OpenAI-compatible server")
        except httpx.HTTPError as error:
            fail(f"{self.url}: {str(error) or type(error).__name__}")

    def _require_success(self, response: httpx.Response, mistaken: int = RUNTIME_ERROR) -> None:
        """End the command unless ``response`` is good; with ``mistaken`` if the user is wrong."""
        if response.is_success:
            return
        response.read()
        code = mistaken if response.status_code in MISTAKES else RUNTIME_ERROR
        try:
            fail(response.json()["error"]["message"], code)
        except (ValueError, LookupError, TypeError):
            fail(f"{self.url} answers {response.status_code} {response.reason_phrase}")


def path_of(model_uid: str) -> str:
    """The path of one model."""
    return f"/v1/models/{quote(model_uid)}"
