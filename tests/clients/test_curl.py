"""curl, as people try a server out and as llama.vim talks to one."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.clients.examples import GREETING_TURN, HELLO, MIDDLE, PREFIX, SUFFIX
from tests.clients.server import BASE, INSTRUCT, Server

FIM = {
    "model": BASE,
    "prompt": PREFIX,
    "suffix": SUFFIX,
    "temperature": 0,
    "max_tokens": 32,
}
CHAT = {
    "model": INSTRUCT,
    "messages": GREETING_TURN,
    "temperature": 0,
    "stream": True,
}


def curl(*arguments: str | Path, data: bytes = b"") -> str:
    """What curl prints; it must succeed."""
    run = subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "60", *arguments],
        input=data,
        capture_output=True,
        timeout=90,
    )
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout.decode()


def post(server: Server, path: str, body: dict[str, Any], *arguments: str | Path) -> str:
    json_type = ("--header", "Content-Type: application/json")
    text = json.dumps(body)
    return curl(f"{server.url}{path}", *json_type, "--data", text, *arguments)


def test_models_are_listed(server: Server) -> None:
    listed = json.loads(curl(f"{server.url}/v1/models"))
    assert {BASE, INSTRUCT} <= {model["id"] for model in listed["data"]}


def test_head_is_answered_without_a_body(server: Server) -> None:
    assert curl("--head", f"{server.url}/v1/models").startswith("HTTP/1.1 200 OK\r\n")


def test_a_whole_completion(server: Server) -> None:
    completion = json.loads(post(server, "/v1/completions", FIM))
    assert completion["choices"][0]["text"] == MIDDLE


def test_a_stream_arrives_as_server_sent_events(server: Server) -> None:
    answer = post(server, "/v1/chat/completions", CHAT, "--no-buffer", "--include")
    head, _, body = answer.partition("\r\n\r\n")
    events = body.removesuffix("\n\n").split("\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)

    assert "text/event-stream" in head.lower()
    assert text == HELLO
    assert events[-1] == "data: [DONE]"


def test_a_chunked_upload_is_read_to_its_end(server: Server) -> None:
    answer = curl(
        *("--header", "Content-Type: application/json"),
        *("--header", "Transfer-Encoding: chunked"),
        *("--upload-file", "-", "--request", "POST"),
        f"{server.url}/v1/completions",
        data=json.dumps(FIM | {"user": "x" * 200_000}).encode(),
    )
    assert json.loads(answer)["choices"][0]["text"] == MIDDLE


def test_a_body_above_one_mebibyte_is_announced_and_sent(server: Server, tmp_path: Path) -> None:
    """curl then asks with ``Expect: 100-continue`` first."""
    file = tmp_path / "body.json"
    file.write_text(json.dumps(FIM | {"user": "x" * 2_000_000}))
    json_type = ("--header", "Content-Type: application/json")
    answer = curl(*json_type, "--data-binary", f"@{file}", f"{server.url}/v1/completions")
    assert json.loads(answer)["choices"][0]["text"] == MIDDLE


def test_http_1_0_gets_its_answer(server: Server) -> None:
    answer = post(server, "/v1/completions", FIM, "--http1.0")
    assert json.loads(answer)["choices"][0]["text"] == MIDDLE


def test_an_error_is_json_with_the_right_status(server: Server) -> None:
    answer = post(
        server, "/v1/completions", FIM | {"model": "none"}, "--write-out", "\n%{http_code}"
    )
    body, _, status = answer.rpartition("\n")
    error = json.loads(body)["error"]

    assert status == "404"
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == "model_not_found"


def test_a_body_sent_as_a_form_says_what_to_do(server: Server) -> None:
    """curl's default content type, when the header is forgotten."""
    answer = curl(
        *("--data", json.dumps(FIM), "--write-out", "\n%{http_code}"),
        f"{server.url}/v1/completions",
    )
    body, _, status = answer.rpartition("\n")
    assert status == "415"
    assert "Content-Type: application/json" in json.loads(body)["error"]["message"]
