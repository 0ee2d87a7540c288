import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from codeserve.app.api.admin.router import LAUNCHES
from codeserve.app.launch_request import LaunchRequest
from tests.app.api.admin.launching import begin, events, fake, launch, states, wait_until
from tests.app.conftest import RunningServer

SLOW = 60.0
"""Seconds to load: longer than any test waits."""


def test_a_launch_is_answered_when_the_model_can_be_asked(own_client: httpx.Client) -> None:
    response = launch(own_client)
    assert response.status_code == 200
    assert response.json()["model_uid"] == "mine"
    assert response.json()["job"]["state"] == "succeeded"
    body = {"model": "mine", "prompt": "a", "max_tokens": 6}
    answer = own_client.post("/v1/completions", json=body).json()
    assert answer["choices"][0]["text"] == "Hello."


def test_a_launch_that_is_not_waited_for_is_answered_with_its_job(
    own_client: httpx.Client,
) -> None:
    job = begin(own_client, load_seconds=SLOW)
    assert (job["object"], job["model"], job["state"]) == ("job", "mine", "running")
    assert own_client.get(f"/v1/jobs/{job['id']}").json()["ended"] is None
    assert states(own_client)["mine"] not in ("ready", "failed")


def test_the_same_launch_again_gives_the_same_job(own_client: httpx.Client) -> None:
    first = begin(own_client, load_seconds=SLOW)
    assert begin(own_client, load_seconds=SLOW)["id"] == first["id"]


def test_an_id_is_taken_by_other_settings(own_client: httpx.Client) -> None:
    launch(own_client)
    response = launch(own_client, context_length=64)
    assert response.status_code == 400
    assert "other settings" in response.json()["error"]["message"]


def test_a_launch_goes_on_when_its_client_goes_away(
    own_server: RunningServer, own_client: httpx.Client
) -> None:
    body = httpx.Request("POST", own_server.url, json=fake(load_seconds=0.5)).read()
    host, port = own_server.url.removeprefix("http://").split(":")
    head = (
        f"POST /v1/models HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + body)
        wait_until(lambda: "mine" in states(own_client))
        assert states(own_client)["mine"] != "ready"
    wait_until(lambda: states(own_client)["mine"] == "ready")


def test_a_failed_load_is_an_error_with_its_reason(own_client: httpx.Client) -> None:
    response = launch(own_client, fail_load="a tensor is missing")
    assert response.status_code == 500
    assert "a tensor is missing" in response.json()["error"]["message"]
    assert "a tensor is missing" in response.json()["detail"]
    assert response.json()["error"]["code"] == "model_load_failed"
    assert response.headers["x-should-retry"] == "false"


def test_the_id_of_a_failed_launch_is_free_for_another(own_client: httpx.Client) -> None:
    launch(own_client, fail_load="a tensor is missing")
    assert states(own_client) == {"mine": "failed"}
    assert launch(own_client).status_code == 200
    assert states(own_client) == {"mine": "ready"}


def test_a_failed_job_keeps_its_reason(own_client: httpx.Client) -> None:
    job = begin(own_client, fail_load="a tensor is missing")
    path = f"/v1/jobs/{job['id']}"
    wait_until(lambda: own_client.get(path).json()["state"] == "failed")
    assert "a tensor is missing" in own_client.get(path).json()["error"]


def test_a_cancelled_launch_leaves_nothing(own_client: httpx.Client) -> None:
    job = begin(own_client, load_seconds=SLOW)
    cancelled = own_client.post("/v1/models/mine/cancel")
    assert cancelled.status_code == 200
    assert (cancelled.json()["id"], cancelled.json()["state"]) == (job["id"], "cancelled")
    assert states(own_client) == {}
    assert launch(own_client).status_code == 200


def test_what_has_ended_cannot_be_cancelled(own_client: httpx.Client) -> None:
    launch(own_client)
    response = own_client.post("/v1/models/mine/cancel")
    assert response.status_code == 400
    assert states(own_client) == {"mine": "ready"}


def test_whoever_watches_a_job_learns_that_it_was_cancelled(
    own_server: RunningServer, own_client: httpx.Client
) -> None:
    job = begin(own_client, load_seconds=SLOW)
    with own_server.client() as other, other.stream("GET", f"/v1/jobs/{job['id']}/events") as seen:
        moments = events(seen)
        assert next(moments)["state"] == "running"
        own_client.post(f"/v1/jobs/{job['id']}/cancel")
        assert [one["state"] for one in moments][-1] == "cancelled"


def test_whoever_waits_for_a_launch_learns_that_it_was_cancelled(
    own_client: httpx.Client,
) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(launch, own_client, load_seconds=SLOW)
        wait_until(lambda: own_client.get("/v1/jobs").json()["data"])
        assert own_client.post("/v1/models/mine/cancel").status_code == 200
        response = waiting.result()
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "launch_cancelled"


def test_a_model_may_wait_for_its_first_request(own_client: httpx.Client) -> None:
    response = launch(own_client, load="on_demand")
    assert response.json()["job"]["state"] == "succeeded"
    assert states(own_client) == {"mine": "unloaded"}
    body = {"model": "mine", "prompt": "a", "max_tokens": 6}
    answer = own_client.post("/v1/completions", json=body).json()
    assert answer["choices"][0]["text"] == "Hello."
    assert states(own_client) == {"mine": "ready"}


def test_progress_ends_at_one(own_client: httpx.Client) -> None:
    launch(own_client)
    assert own_client.get("/v1/models/mine/progress").json()["progress"] == 1.0


def test_progress_is_below_one_while_the_model_loads(own_client: httpx.Client) -> None:
    begin(own_client, load_seconds=SLOW)
    reply = own_client.get("/v1/models/mine/progress").json()
    assert 0 <= reply["progress"] < 1
    assert reply["job"]["state"] == "running"


def test_a_restarted_model_is_answered_when_it_serves_again(own_client: httpx.Client) -> None:
    first = launch(own_client).json()["job"]
    again = own_client.post("/v1/models/mine/restart").json()
    assert again["model_uid"] == "mine"
    assert again["job"]["state"] == "succeeded"
    assert again["job"]["id"] != first["id"]


@pytest.mark.parametrize(
    ("fields", "param", "hint"),
    [
        ({"model_name": "deepseek-codr"}, "model_name", "Did you mean deepseek-coder"),
        ({"model_size_in_billions": "1_4"}, "model_size_in_billions", "1_3"),
        ({"model_format": "gguf"}, "model_format", "ggufv2"),
        ({"model_format": "ggufv2", "quantization": "Q4_K_N"}, "quantization", "Q4_K_M"),
        ({"model_engine": "vlm"}, "model_engine", "vllm"),
        ({"model_engine": "vLLM", "model_format": "ggufv2"}, "model_engine", "llama.cpp"),
    ],
)
def test_what_there_is_not_is_named_with_what_there_is(
    client: httpx.Client, fields: dict[str, Any], param: str, hint: str
) -> None:
    body = {"model_name": "deepseek-coder-instruct", "model_size_in_billions": "1_3", **fields}
    response = client.post("/v1/models", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert hint in response.json()["error"]["message"]
    assert "deepseek-coder-instruct" not in states(client)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"model_name": 1}, "invalid_type"),
        ({"replica": 0}, "integer_below_min_value"),
        ({"load": "later"}, "invalid_value"),
        ({"model_uid": "a b"}, None),
        ({"n_worker": 2}, "unsupported_parameter"),
        ({"model_type": "rerank"}, "unsupported_parameter"),
    ],
)
def test_a_wrong_field_is_a_400_that_names_it(
    client: httpx.Client, fields: dict[str, Any], code: str | None
) -> None:
    response = client.post("/v1/models", json={"model_name": "deepseek-coder", **fields})
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == (next(iter(fields)), code)


def test_a_body_without_a_model_says_what_is_missing(client: httpx.Client) -> None:
    error = client.post("/v1/models", json={}).json()["error"]
    assert (error["param"], error["code"]) == ("model_name", "missing_required_parameter")


def test_weights_that_are_not_there_leave_the_reason(own_client: httpx.Client) -> None:
    body = {"model_path": "/nowhere/mine.gguf"}
    response = own_client.post("/v1/models", json=body)
    assert response.status_code in (400, 500)
    assert "/nowhere/mine.gguf" in response.json()["error"]["message"]


@pytest.mark.parametrize("body", LAUNCHES.values())
def test_documented_launches_are_read(body: dict[str, Any]) -> None:
    assert LaunchRequest.model_validate(body).settings().options == {}


@pytest.mark.parametrize("what", ["progress", "logs"])
def test_nothing_is_known_of_a_model_that_was_never_there(
    own_client: httpx.Client, what: str
) -> None:
    assert own_client.get(f"/v1/models/none/{what}").status_code == 404
