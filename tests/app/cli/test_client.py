import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import typer

from codeserve.app.cli.client import ServerClient
from codeserve.app.cli.following import follow_job

Answer = tuple[int, str, str]


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


@pytest.mark.parametrize(("status", "code"), [(400, 2), (404, 2), (401, 1), (503, 1)])
def test_what_a_server_refuses_as_a_mistake_is_a_usage_error(
    answering: Callable[..., str], capsys: pytest.CaptureFixture[str], status: int, code: int
) -> None:
    body = json.dumps({"error": {"message": "no such size"}})
    url = answering(status, "application/json", body)
    with ServerClient(url) as client:
        for ask in (lambda: client.ask("POST", "/", {}), lambda: list(client.follow("/"))):
            with pytest.raises(typer.Exit) as ended:
                ask()
            assert ended.value.exit_code == code
            assert capsys.readouterr().err == "codeserve: no such size\n"


def test_events_are_followed_until_they_end(
    answering: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    good = 'data: {"a": 1}\n\n: ping\n\ndata: {"error": null}\n\n'
    with ServerClient(answering(200, "text/event-stream", good)) as client:
        assert list(client.follow("/")) == [{"a": 1}, {"error": None}]
    bad = 'data: {"a": 1}\n\ndata: {"error": {"message": "lost"}}\n\n'
    lost = answering(200, "text/event-stream", bad)
    with ServerClient(lost) as client, pytest.raises(typer.Exit):
        list(client.follow("/"))
    assert capsys.readouterr().err == "codeserve: lost\n"


def test_the_key_is_sent_as_a_bearer_token() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        asked = threads.submit(ServerClient(url, "secret").ask, "GET", "/")
        connection, _ = listener.accept()
        with connection:
            head = connection.recv(10_000).decode().lower()
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        assert asked.result(30) == {}
    assert "\r\nauthorization: bearer secret\r\n" in head


def test_what_is_no_address_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "localhost:8000 is no address" in refusal(capsys, "localhost:8000")


def test_a_job_whose_end_is_not_told_is_a_failure(
    answering: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    job = {"id": "1", "model": "mine", "created": 0.0}
    url = answering(200, "text/event-stream", f"data: {json.dumps(job)}\n\n")
    with ServerClient(url) as client, pytest.raises(typer.Exit):
        follow_job(client, {"job": job}, as_json=False)
    said = f"{url} no longer tells how 'mine' goes on; see: codeserve ps"
    assert capsys.readouterr().err == f"mine: pending\ncodeserve: {said}\n"
