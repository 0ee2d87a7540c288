"""Whatever bytes come as a body, each route refuses them in its dialect, and serves on."""

import json
import random
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.app.conftest import RunningServer, fake_model, running_server

MODEL = "fast"
GOOD = json.dumps({"model": MODEL, "prompt": "a", "max_tokens": 1}).encode()

MALFORMED = {
    "nothing": b"",
    "white space": b" \r\n\t",
    "no JSON": b"prompt=a&max_tokens=1",
    "a word cut short": b"nul",
    "null": b"null",
    "a number": b"1",
    "a text": b'"a"',
    "a list": b"[]",
    "a list of objects": b"[" + GOOD + b"]",
    "two objects": GOOD * 2,
    "an open object": b"{",
    "an open text": b'{"model": "fast',
    "an open escape": b'{"model": "fast\\',
    "half an escape": b'{"model": "\\u00"}',
    "a comma too many": GOOD[:-1] + b",}",
    "single quotes": GOOD.replace(b'"', b"'"),
    "a comment": GOOD[:-1] + b"/* a */}",
    "a line break in a text": b'{"model": "fa\nst"}',
    "open lists": b"[" * 50_000,
    "open objects": b'{"a":' * 10_000,
    "deep lists": b'{"model": ' + b"[" * 200 + b"]" * 200 + b"}",
    "deeper lists": b'{"model": ' + b"[" * 40_000 + b"]" * 40_000 + b"}",
    "deep objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "a number of many digits": b'{"model": 1' + b"0" * 50_000 + b"}",
    "a number beyond all": b'{"model": 1e999}',
    "an exponent beyond all": b'{"model": 1e' + b"9" * 10_000 + b"}",
    "NaN": b'{"model": NaN}',
    "infinity": b'{"model": -Infinity}',
    "no UTF-8 at all": bytes(range(128, 256)),
    "no UTF-8 in a text": b'{"model": "\xff\xfe"}',
    "no UTF-8 in a key": b'{"mod\xc3": "fast"}',
    "an overlong character": b'{"model": "\xc0\xaf"}',
    "half a surrogate pair": b'{"model": "\\ud800", "prompt": "\\ud800"}',
    "half a surrogate pair in bytes": b'{"model": "\xed\xa0\x80"}',
    "UTF-16": GOOD.decode().encode("utf-16"),
    "UTF-32": GOOD.decode().encode("utf-32"),
    "zeros": bytes(1000),
    "more than the limit": b'{"model": "' + b"a" * 100_000 + b'"}',
}

FRAMED = {
    "a length that is none": b"content-length: many\r\n\r\n" + GOOD,
    "a negative length": b"content-length: -1\r\n\r\n" + GOOD,
    "two lengths": b"content-length: 5\r\ncontent-length: 9\r\n\r\n" + GOOD,
    "a length of many digits": b"content-length: " + b"9" * 5000 + b"\r\n\r\n" + GOOD,
    "a length that ends too early": b"content-length: 5\r\n\r\n" + GOOD,
    "a length that is never reached": b"content-length: 5000\r\n\r\n" + GOOD,
    "a length and chunks": b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n" + GOOD,
    "a chunk without its size": b"transfer-encoding: chunked\r\n\r\n" + GOOD,
    "a chunk of a negative size": b"transfer-encoding: chunked\r\n\r\n-5\r\n" + GOOD,
    "a chunk larger than all": b"transfer-encoding: chunked\r\n\r\n" + b"f" * 32 + b"\r\n" + GOOD,
    "a chunk that breaks off": b"transfer-encoding: chunked\r\n\r\nff\r\n" + GOOD,
    "chunks without an end": b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "an encoding that is none": b"transfer-encoding: squeezed\r\n\r\n" + GOOD,
    "compressed bytes that are none": b"content-encoding: gzip\r\ncontent-length: 5\r\n\r\nabcde",
}
"""Headers and bytes that do not belong together."""

ADMIN = ("/v1/models", "/v1/model_registrations", "/v1/engines")
"""Where errors have a detail, too, as Xinference's have."""

OUTSIDE_HTTP = b"Invalid HTTP request received."
"""What the HTTP server itself answers, before there is a path and a dialect."""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(fake_model(MODEL), max_body_bytes=100_000) as server:
        yield server


@pytest.fixture(scope="module")
def posts(server: RunningServer) -> dict[str, list[bytes]]:
    """The path of every POST route that reads a body, and its documented bodies."""
    with server.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    found = {}
    for path, item in paths.items():
        if content := item.get("post", {}).get("requestBody", {}).get("content"):
            examples = content["application/json"]["examples"].values()
            address = path.replace("{model_id}", MODEL).replace("{model_type}", "LLM")
            found[address] = [json.dumps(example["value"]).encode() for example in examples]
    assert len(found) > 20
    assert not any("{" in path for path in found)
    return found


@pytest.fixture(autouse=True)
def serves_on(server: RunningServer) -> Iterator[None]:
    """After each test the server answers as before."""
    yield
    with server.client() as client:
        assert client.get("/livez").status_code == 200
        assert client.post("/v1/completions", content=GOOD).status_code == 200


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_every_route_refuses(
    server: RunningServer, posts: dict[str, list[bytes]], body: bytes
) -> None:
    with server.client() as client:
        for path in posts:
            assert_refused(client, path, body)


@pytest.mark.parametrize("model", [["fast"], {"model": "fast"}, 1, True, 10**400])
def test_every_route_refuses_a_model_of_another_type(
    server: RunningServer, posts: dict[str, list[bytes]], model: Any
) -> None:
    body = json.dumps({"model": model, "prompt": "a"}).encode()
    with server.client() as client:
        for path in posts:
            if MODEL not in path:  # Where the path names the model, the body need not.
                assert_refused(client, path, body)


def test_every_route_refuses_what_was_cut_off(
    server: RunningServer, posts: dict[str, list[bytes]]
) -> None:
    with server.client() as client:
        for path, examples in posts.items():
            for example in examples:
                for cut in {1, len(example) // 3, len(example) // 2, len(example) - 1}:
                    assert_refused(client, path, example[:cut])


def test_no_route_breaks_on_a_field_of_another_type(
    server: RunningServer, posts: dict[str, list[bytes]]
) -> None:
    draw = random.Random(7)
    values: list[Any] = [None, True, -1, 0.5, 10**400, 1e308, "", "\x00", [], [[]], {}, {"": {}}]
    with server.client() as client:
        for path, [example, *_] in posts.items():
            body = {**json.loads(example), "model": MODEL}
            for field in body.keys() - {"model"}:
                wrong = {**body, field: draw.choice(values)}
                if path != "/v1/models":
                    assert_sound(path, client.post(path, content=json.dumps(wrong)))


@pytest.mark.parametrize("rest", FRAMED.values(), ids=FRAMED)
def test_every_route_survives_framing_that_is_wrong(
    server: RunningServer, posts: dict[str, list[bytes]], rest: bytes
) -> None:
    for path in posts:
        head = f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        answer = exchange(server.url, head.encode() + rest)
        if answer:  # Else it hung up on bytes that did not come, as the client did.
            status = answer.split(b" ", 2)[1]
            assert status.startswith(b"4"), f"{path}: {answer!r}"
            first = answer.partition(b"\r\n\r\n")[2].partition(b"HTTP/1.1 ")[0]
            if not first.startswith(OUTSIDE_HTTP):
                assert_error(path, json.loads(first))


def exchange(url: str, request: bytes) -> bytes:
    """All that the server says to the bytes of a client that then says no more."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
        return answer


def assert_refused(client: httpx.Client, path: str, body: bytes) -> None:
    response = client.post(path, content=body)
    assert 400 <= response.status_code < 500, f"{path} {body[:80]!r}: {response.text}"
    assert_error(path, response.json())


def assert_sound(path: str, response: httpx.Response) -> None:
    assert response.status_code < 500, f"{path}: {response.request.content!r}: {response.text}"
    if response.status_code != 200:
        assert_error(path, response.json())


def assert_error(path: str, answer: Any) -> None:
    """``answer`` is an error in the shape of the dialect of ``path``."""
    if path.startswith("/api/"):
        assert answer.keys() == {"error"}
        assert isinstance(answer["error"], str)
    elif path.startswith("/v1/messages"):
        assert answer.keys() == {"type", "error", "request_id"}
        assert answer["error"].keys() == {"type", "message"}
    else:
        admin = path.startswith(ADMIN)
        assert answer.keys() == ({"error", "detail"} if admin else {"error"})
        assert answer["error"].keys() == {"message", "type", "param", "code"}
