"""What clients send is in no log line, even at level debug: a marker in all of their texts is
looked for in what a real server has logged after it was asked on every route."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from codeserve.app.edge.middleware import UNOBSERVED
from tests.e2e.server import Server

MARKER = "xyzzy4711"

CONFIG = """
[server]
log_format = "json"
log_level = "debug"

[[models]]
id = "base"
path = "{path}"
family = "deepseek-coder"
context_length = 512
options = {{ tune = false }}

[[models]]
id = "instruct"
path = "{path}"
family = "deepseek-coder-instruct"
context_length = 512
options = {{ tune = false }}

[[models]]
id = "failing"
path = "/dev/null"
engine = "fake"
options = {{ fail_after = 3 }}

[[models]]
id = "dying"
path = "/dev/null"
engine = "fake"
options = {{ crash_after = 3 }}
"""

LENGTHS = {"max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict", "num_predict"}

HEADERS = {
    "authorization": f"Bearer {MARKER}",
    "user-agent": MARKER,
    "cookie": f"a={MARKER}",
    "referer": f"http://{MARKER}/",
    "traceparent": MARKER,
}


def marked(value: Any) -> Any:
    """``value`` with the marker at the end of every text, and short answers asked for."""
    match value:
        case str():
            return f"{value} {MARKER}"
        case list():
            return [marked(one) for one in value]
        case dict():
            return {key: 4 if key in LENGTHS else marked(one) for key, one in value.items()}
    return value


def with_marks(body: dict[str, Any], model: str) -> dict[str, Any]:
    """A body that means the same as ``body``, so that a model answers it."""
    kept = {"type", "role", "tool_choice", "format", "syntax", "keep_alive"}

    def mark(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: one if key in kept else mark(one) for key, one in value.items()}
        return [mark(one) for one in value] if isinstance(value, list) else marked(value)

    return {**mark(body), "model": model} | dict.fromkeys(LENGTHS & set(body), 4)


def examples(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The bodies with which ``operation`` is documented."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    for example in content.get("examples", {}).values():
        yield example["value"]


def malformed() -> Iterator[dict[str, Any]]:
    """What no route takes."""
    yield {"content": f'{{"model": "base", "prompt": "{MARKER}'}
    yield {"content": f'["{MARKER}", NaN]'}
    yield {"content": MARKER, "headers": {"content-type": f"text/{MARKER}"}}
    wrong = ("messages", "prompt", "suffix", "input", "system", "tools", "options", "stop")
    yield {"json": {"model": "base", **{name: {MARKER: [MARKER]} for name in wrong}}}
    yield {"json": {"model": MARKER.upper(), "prompt": MARKER, "messages": [{"role": MARKER}]}}


def paths_of(document: dict[str, Any], method: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        if method in item:
            yield "/".join("x" if "{" in part else part for part in path.split("/")), item[method]


def model_for(path: str) -> str:
    """The model that does what ``path`` is for."""
    return (
        "instruct"
        if path.endswith(("chat/completions", "chat", "messages", "responses"))
        else "base"
    )


class Client:
    """Asks with the marker in every header and in the query, and counts."""

    def __init__(self, url: str) -> None:
        self.asked: list[httpx.Response] = []
        query = {"q": MARKER, "model": MARKER}
        self._http = httpx.Client(base_url=url, headers=HEADERS, params=query, timeout=60)

    def ask(self, method: str, path: str, **given: Any) -> None:
        self.asked.append(self._http.request(method, path, **given))

    def close(self) -> None:
        self._http.close()


def ask_everything(client: Client, document: dict[str, Any]) -> None:
    for path, operation in paths_of(document, "post"):
        for body in malformed():
            client.ask("POST", path, **body)
        if not {"admin", "registrations"} & set(operation.get("tags", ())):
            for body in examples(operation):
                client.ask("POST", path, json=with_marks(body, model_for(path)))
                client.ask("POST", path, json=marked(body))
    for path, _ in paths_of(document, "get"):
        client.ask("GET", path)
    chat = {"messages": [{"role": "user", "content": MARKER}], "max_tokens": 9}
    client.ask("POST", "/v1/chat/completions", json=chat, headers={"x-priority": MARKER})
    for model in ("failing", "dying"):
        client.ask("POST", "/v1/chat/completions", json={**chat, "model": model})


def say_what_is_not_http(url: str) -> None:
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(f"{MARKER} {MARKER}\r\n{MARKER}\r\n\r\n".encode())
        while connection.recv(1000):
            pass


@pytest.fixture(scope="module")
def asked(
    tmp_path_factory: pytest.TempPathFactory, tiny_deepseek_gguf: Path
) -> tuple[list[httpx.Response], str]:
    """All answers, and all that was logged until the server's end."""
    config = CONFIG.format(path=tiny_deepseek_gguf)
    server = Server.start(tmp_path_factory.mktemp("privacy"), config)
    client = Client(server.url)
    try:
        document = httpx.get(f"{server.url}/openapi.json", timeout=60).json()
        ask_everything(client, document)
        say_what_is_not_http(server.url)
    finally:
        client.close()
        server.end()
    return client.asked, server.log.read_text()


def test_no_log_line_holds_what_a_client_sent(asked: tuple[list[httpx.Response], str]) -> None:
    _, log = asked
    assert [line for line in log.splitlines() if MARKER in line.lower()] == []


def test_every_kind_of_route_answered_and_broke(asked: tuple[list[httpx.Response], str]) -> None:
    answers, _ = asked
    assert {200, 400, 404, 415, 500, 503} <= {answer.status_code for answer in answers}
    assert {answer.url.path for answer in answers if answer.status_code == 200} >= {
        "/api/chat",
        "/api/generate",
        "/completion",
        "/infill",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/fim/completions",
        "/v1/messages",
        "/v1/responses",
    }


def test_each_request_and_crash_was_logged(asked: tuple[list[httpx.Response], str]) -> None:
    answers, log = asked
    lines = [json.loads(line) for line in log.splitlines()]
    logged = {line["id"] for line in lines if line["event"] == "request"}
    observed = [answer for answer in answers if answer.url.path not in UNOBSERVED]
    assert {answer.headers["x-request-id"] for answer in observed} <= logged
    broken = [line for line in lines if "the engine has broken" in line["event"]]
    assert [(line["level"], line["model"]) for line in broken] == [("error", "failing")]
    assert any(line["event"] == "Invalid HTTP request received." for line in lines)
