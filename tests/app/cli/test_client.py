import json
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
import typer

from codeserve.app.cli.client import ServerClient

Answer = tuple[int, str, str]


@pytest.fixture
def answering() -> Iterator[Callable[[int, str, str], str]]:
    """Start a server that gives one answer to everything; its address."""
    servers: list[HTTPServer] = []

    def start(status: int, content_type: str, body: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.end_headers()
                self.wfile.write(body.encode())

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.do_GET()

            def log_message(self, *args: object) -> None: ...

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def refusal(capsys: pytest.CaptureFixture[str], url: str, *, complete: bool = False) -> str:
    """What is written to stderr when the first model, or else a completion, cannot be had."""
    with ServerClient(url) as client, pytest.raises(typer.Exit) as ended:
        list(client.stream("/v1/completions", {})) if complete else client.first_model()
    assert ended.value.exit_code == 1
    return capsys.readouterr().err


def test_no_server_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        message = refusal(capsys, url)
    assert message == (f"codeserve: no server answers at {url}; start one with: codeserve serve\n")


def test_an_error_of_the_server_is_its_message(
    answering: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = answering(404, "application/json", json.dumps({"error": {"message": "no such model"}}))
    assert refusal(capsys, url, complete=True) == "codeserve: no such model\n"


def test_an_error_in_mid_stream_is_its_message(
    answering: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    body = 'data: {"choices":[{"text":"a"}]}\n\ndata: {"error":{"message":"lost"}}\n\n'
    with ServerClient(answering(200, "text/event-stream", body)) as client:
        answers = client.stream("/", {})
        assert next(answers) == {"text": "a"}
        with pytest.raises(typer.Exit):
            next(answers)
    assert capsys.readouterr().err == "codeserve: lost\n"


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        ((502, "text/html", "<html>"), "answers 502 Bad Gateway"),
        ((200, "text/html", "<html>"), "does not answer like an OpenAI-compatible server"),
        ((200, "text/event-stream", "data: {}\n\n"), "does not answer like an OpenAI-compatible"),
        ((200, "text/event-stream", ""), "ended the answer before it was complete"),
    ],
)
def test_another_kind_of_server_is_one_line(
    answering: Callable[..., str], capsys: pytest.CaptureFixture[str], answer: Answer, part: str
) -> None:
    message = refusal(capsys, answering(*answer), complete=True)
    assert part in message
    assert message.count("\n") == 1


def test_an_address_may_end_in_v1(answering: Callable[..., str]) -> None:
    body = json.dumps({"data": [{"id": "a"}, {"id": "b"}]})
    url = answering(200, "application/json", body)
    with ServerClient(f"{url}/v1/") as client:
        assert client.first_model() == "a"


def test_a_server_without_models_is_one_line(
    answering: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = answering(200, "application/json", '{"data": []}')
    assert refusal(capsys, url) == f"codeserve: {url} serves no model\n"
