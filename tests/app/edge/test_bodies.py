import socket
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.app.conftest import RunningServer

PATH = "/v1/completions"
GOOD = b'{"model": "fast", "prompt": "a", "max_tokens": 1}'
LIMIT = 100_000
"""The shared server's."""


def post(client: httpx.Client, body: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(PATH, content=body, headers={"content-type": "application/json", **named})


def padded(size: int) -> bytes:
    """A good request of ``size`` bytes."""
    return GOOD + b" " * (size - len(GOOD))


def test_a_body_of_just_the_limit_passes(client: httpx.Client) -> None:
    assert post(client, padded(LIMIT)).status_code == 200


def test_a_byte_more_is_a_413_that_names_the_limit(client: httpx.Client) -> None:
    response = post(client, padded(LIMIT + 1))
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "request_too_large"
    assert "100000 bytes" in response.json()["error"]["message"]


def test_a_client_that_still_sends_gets_its_413(client: httpx.Client) -> None:
    """The rest of the body is read and dropped: a reset would lose the answer."""

    def chunks() -> Iterator[bytes]:
        for _ in range(500):
            yield b" " * 10_000

    for body in (chunks(), b" " * 5_000_000):
        response = client.post(PATH, content=body, headers={"content-type": "application/json"})
        assert response.status_code == 413
    assert post(client, GOOD).status_code == 200


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"model": "fast"', "Expecting ',' delimiter at character 16"),
        (b"", "it is empty"),
        (b"[]", "it is an array, not an object"),
        (b'"fast"', "it is a string, not an object"),
        (b"null", "it is null, not an object"),
        (b'{"model": "fa\x00st"}', "Invalid control character"),
        (b'{"model": "\xff"}', "it is not UTF-8 at byte 11"),
        (GOOD.decode().encode("utf-16"), "it is not UTF-8"),
        (b'{"model": "\xed\xa0\x80"}', "it is not UTF-8"),
        (rb'{"model": "\ud83d"}', r"\ud83d is half a surrogate pair"),
        (rb'{"\udC00": 1}', r"\udc00 is half a surrogate pair"),
        (b'{"model": "fast", "temperature": NaN}', "NaN is no JSON"),
        (b'{"model": "fast", "x": [-Infinity]}', "-Infinity is no JSON"),
        (b'{"seed": 1' + b"0" * 5000 + b"}", "Exceeds the limit (4300 digits)"),
        (b'{"x": ' + b"[" * 128 + b"]" * 128 + b"}", "nested more than 128 levels deep"),
        (b"[" * 50_000, "it is nested too deeply"),
        (b'{"a":' * 15_000, "it is nested too deeply"),
    ],
)
def test_what_is_no_sound_json_is_a_400_with_the_reason(
    client: httpx.Client, body: bytes, reason: str
) -> None:
    response = post(client, body)
    assert response.status_code == 400
    message = response.json()["error"]["message"]
    assert message.startswith("We could not parse the JSON body of your request: ")
    assert reason in message


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + GOOD,
        rb'{"model": "fast", "max_tokens": 1, "prompt": "\ud83d\ude42 NaN Infinity"}',
        b'{"model": "fast", "max_tokens": 1, "prompt": "' + b"[{" * 500 + b'"}',
        b'{"model": "fast", "max_tokens": 1, "prompt": "a", "x": ' + b"[" * 127 + b"]" * 127 + b"}",
        b'{"model": "none", "model": "fast", "max_tokens": 1, "prompt": "a"}',
    ],
    ids=["byte order mark", "escaped emoji", "brackets in text", "127 levels", "the last key wins"],
)
def test_unusual_but_sound_json_passes(client: httpx.Client, body: bytes) -> None:
    response = post(client, body)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "nonsense"])
def test_another_content_type_is_a_415_that_says_what_to_send(
    client: httpx.Client, kind: str
) -> None:
    response = post(client, GOOD, content_type=kind)
    assert response.status_code == 415
    assert response.json()["error"]["code"] == "unsupported_media_type"
    assert f"'{kind}'" in response.json()["error"]["message"]
    assert "-H 'Content-Type: application/json'" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON", "application/x+json", ""]
)
def test_every_spelling_of_json_passes(client: httpx.Client, kind: str) -> None:
    assert post(client, GOOD, content_type=kind).status_code == 200


def test_without_a_content_type_json_is_meant(client: httpx.Client) -> None:
    assert client.post(PATH, content=GOOD).status_code == 200


def test_ollamas_routes_take_what_curl_sends(client: httpx.Client) -> None:
    """Its documentation posts JSON without naming it."""
    response = client.post("/api/none", data={"a": "b"})
    assert response.status_code == 404


def test_a_compressed_body_is_a_415(client: httpx.Client) -> None:
    response = post(client, GOOD, content_encoding="gzip")
    assert response.status_code == 415
    assert "compressed (gzip)" in response.json()["error"]["message"]


def test_a_wrong_path_is_a_404_whatever_its_body_is(client: httpx.Client) -> None:
    assert client.post("/v1/none", content=b"[" * 50_000).status_code == 404
    assert client.post("/v1/none", data={"a": "b"}).status_code == 404


class Wire:
    """A connection on which requests are written by hand."""

    def __init__(self, url: str) -> None:
        address = httpx.URL(url)
        self._socket = socket.create_connection((address.host, address.port or 80), timeout=30)
        self._responses = self._socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def status(self) -> int:
        """Read one response; its status."""
        status = int(self._responses.readline().split()[1])
        length = 0
        while (line := self._responses.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        self._responses.read(length)
        return status

    def close(self) -> None:
        self._responses.close()
        self._socket.close()


@pytest.fixture
def wire(server: RunningServer) -> Iterator[Wire]:
    with closing(Wire(server.url)) as connection:
        yield connection


def head(length: int, *more: str, path: str = PATH) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: test", "Content-Type: application/json", *more]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def request(body: bytes, path: str = PATH) -> bytes:
    return head(len(body), path=path) + body


def test_a_connection_stays_usable_after_every_error(wire: Wire) -> None:
    statuses = []
    for data in (
        request(b"{"),
        request(b"{}", path="/none"),
        request(b" " * 200_000),
        request(b"[" * 50_000),
        request(GOOD),
    ):
        wire.send(data)
        statuses.append(wire.status())
    assert statuses == [400, 404, 413, 400, 200]


def test_pipelined_requests_are_answered_in_order(wire: Wire) -> None:
    wire.send(request(b"{") + request(b"{}", path="/none") + request(GOOD))
    assert [wire.status() for _ in range(3)] == [400, 404, 200]


def test_a_chunked_body_over_the_limit_leaves_the_connection_usable(wire: Wire) -> None:
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    wire.send(head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
    for _ in range(100):
        wire.send(chunk)
    wire.send(b"0\r\n\r\n" + request(GOOD))
    assert [wire.status(), wire.status()] == [413, 200]


def test_a_client_that_asks_first_is_told_to_go_on(wire: Wire) -> None:
    wire.send(head(len(GOOD), "Expect: 100-continue"))
    assert wire.status() == 100
    wire.send(GOOD)
    assert wire.status() == 200


def test_a_client_that_asks_first_need_not_send_too_much(wire: Wire) -> None:
    wire.send(head(LIMIT + 1, "Expect: 100-continue"))
    assert wire.status() == 413
