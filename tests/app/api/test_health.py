from typing import Any

import httpx
import pytest


def test_the_process_lives(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/readyz", "/health", "/v1/health"])
def test_a_server_is_ready_though_one_of_its_models_failed(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_a_start_is_over_though_one_of_its_models_failed(client: httpx.Client) -> None:
    assert client.get("/startupz").json() == {"status": "ok"}


def test_one_model_can_be_asked_for(client: httpx.Client) -> None:
    assert client.get("/readyz", params={"model": "fast"}).status_code == 200
    broken = client.get("/readyz", params={"model": "broken"})
    assert broken.status_code == 503
    assert broken.json()["models"][0]["state"] == "failed"
    assert client.get("/readyz", params={"model": "none"}).status_code == 404


def test_a_server_without_a_model_that_serves_is_not_ready(
    start_server: Any, make_model: Any
) -> None:
    with start_server(make_model("broken", fail_load="no weights")) as server:
        response = httpx.get(f"{server.url}/health", timeout=60)
    assert response.status_code == 503
    (model,) = response.json()["models"]
    assert (model["id"], model["state"], model["phase"]) == ("broken", "failed", "failed")
    assert "no weights" in model["error"]


def test_a_server_that_loads_is_not_ready_and_says_how_far_it_is(
    start_server: Any, make_model: Any
) -> None:
    slow = make_model("slow", load_seconds=60)
    with start_server(slow, wait=False) as server, server.client() as client:
        response = client.get("/readyz")
        while response.json()["models"][0]["phase"] != "weights":
            response = client.get("/readyz")
        assert client.get("/livez").status_code == 200
        assert client.get("/startupz").status_code == 503
        assert client.get("/startupz").json() == response.json()
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    (model,) = response.json()["models"]
    assert (model["state"], model["progress"]) == ("loading", 0.0)
    assert [response.json()[key] for key in ("status", "state", "phase", "progress")] == [
        *("starting", "loading", "weights", 0.0)
    ]


def test_a_model_that_loads_on_request_can_serve(start_server: Any, make_model: Any) -> None:
    lazy = make_model("lazy").model_copy(update={"load": "on_demand"})
    with start_server(lazy) as server, server.client() as client:
        assert client.get("/readyz").status_code == 200
        assert client.get("/readyz", params={"model": "lazy"}).status_code == 200


def test_a_model_that_is_launched_later_keeps_nobody_from_the_others(
    start_server: Any, make_model: Any
) -> None:
    with start_server(make_model("first")) as server, server.client() as client:
        assert client.get("/readyz").status_code == 200
        body = {
            "model_uid": "later",
            "model_path": "/dev/null",
            "model_engine": "fake",
            "load_seconds": 60,
        }
        client.post("/v1/models?wait_ready=false", json=body)
        assert client.get("/readyz").status_code == 200
        assert client.get("/startupz").status_code == 200
        assert client.get("/readyz", params={"model": "later"}).status_code == 503


def test_a_model_that_stands_still_is_not_ready_until_its_worker_is_replaced(
    start_server: Any, make_model: Any
) -> None:
    hanging = make_model("hanging", hang_after=3)
    with (
        start_server(hanging, stall_timeout=8.0) as server,
        server.client() as client,
        server.client() as another,
    ):
        body = {"model": "hanging", "prompt": "a", "max_tokens": 20, "stream": True}
        with another.stream("POST", "/v1/completions", json=body) as stream:
            response = client.get("/readyz")
            while response.status_code == 200:
                response = client.get("/readyz")
            *_, error, _ = (line for line in stream.iter_lines() if line.startswith("data"))
        while client.get("/readyz").status_code == 503:
            continue
    assert response.json()["status"] == "not ready"
    (model,) = response.json()["models"]
    assert (model["state"], model["stalled"]) == ("ready", "no step for 4 s with work to do")
    assert "engine_restarted" in error
