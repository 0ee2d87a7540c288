from typing import Any

import httpx
import pytest


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_the_list_has_every_model_in_every_state(client: httpx.Client, path: str) -> None:
    listed = client.get(path).json()
    assert listed["object"] == "list"
    assert {model["id"]: model["state"] for model in listed["data"]} == {
        "fast": "ready",
        "slow": "ready",
        "short": "ready",
        "broken": "failed",
    }
    (short,) = (model for model in listed["data"] if model["id"] == "short")
    assert short.pop("created") > 0
    short.pop("memory_bytes")
    short.pop("last_used")
    assert short == {
        "id": "short",
        "object": "model",
        "owned_by": "codeserve",
        "root": "short",
        "parent": None,
        "permission": [],
        "model_type": "LLM",
        "model_ability": ["chat"],
        "model_name": "fake",
        "model_engine": "fake",
        "model_format": None,
        "model_size_in_billions": None,
        "model_version": None,
        "model_description": "",
        "model_lang": [],
        "quantization": None,
        "replica": 1,
        "replicas_ready": 1,
        "address": None,
        "accelerators": [],
        "meta": {"n_ctx_train": 32, "n_vocab": 258, "n_params": 0, "size": 0},
        "state": "ready",
        "phase": "ready",
        "progress": None,
        "max_model_len": 32,
        "context_length": 32,
        "engine": "fake",
        "device": "cpu",
        "pinned": False,
        "bytes_done": None,
        "bytes_total": None,
        "running": 0,
        "waiting": 0,
        "restarts": 0,
        "error": None,
    }


def test_one_model_is_shown_with_all_that_is_known(client: httpx.Client) -> None:
    model = client.get("/v1/models/fast").json()
    assert model["vocab_size"] == 258
    assert model["repairs"] == []
    assert model["max_concurrency"] == 4
    assert model["restarts"] == 0


@pytest.mark.parametrize("path", ["/v1/models/org/name", "/models/org%2Fname"])
def test_an_id_may_have_a_slash(start_server: Any, make_model: Any, path: str) -> None:
    with start_server(make_model("org/name")) as server, server.client() as client:
        assert client.get(path).json()["id"] == "org/name"
        body = {"prompt": "a", "max_tokens": 1}
        for name in ("org/name", "org%2Fname"):
            reply = client.post(f"/v1/engines/{name}/completions", json=body)
            assert reply.json()["model"] == "org/name"


def test_a_failed_model_says_why(client: httpx.Client) -> None:
    model = client.get("/v1/models/broken").json()
    assert model["meta"] is model["max_model_len"] is None
    assert model["state"] == "failed"
    assert "a tensor is missing" in model["error"]
    assert isinstance(model["log_tail"], list)


@pytest.mark.parametrize(
    "path", ["/v1/models/none", "/v1/models/org/none", "/v1/models/org%2Fnone"]
)
def test_an_unknown_model_is_a_404(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


def test_head_answers(client: httpx.Client) -> None:
    response = client.head("/v1/models")
    assert (response.status_code, response.content) == (200, b"")
