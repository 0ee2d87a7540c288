from datetime import datetime
from importlib.metadata import version
from typing import Any

import httpx
import pytest


def by_name(client: httpx.Client, path: str) -> dict[str, dict[str, Any]]:
    return {model["name"]: model for model in client.get(path).json()["models"]}


def test_tags_list_every_model_in_any_state(client: httpx.Client) -> None:
    models = by_name(client, "/api/tags")
    assert list(models) == ["fast", "slow", "short", "broken"]
    fast = models["fast"]
    assert fast["model"] == "fast"
    assert len(fast["digest"]) == 64
    assert fast["digest"] != models["slow"]["digest"]
    assert datetime.fromisoformat(fast["modified_at"]).tzinfo is not None
    assert fast["size"] == 0
    assert fast["details"] == {
        "parent_model": "",
        "format": "safetensors",
        "family": "fake",
        "families": ["fake"],
        "parameter_size": "0",
        "quantization_level": "unknown",
    }
    assert models["broken"]["details"]["parameter_size"] == ""


def test_ps_lists_the_models_that_are_ready(client: httpx.Client) -> None:
    models = by_name(client, "/api/ps")
    assert list(models) == ["fast", "slow", "short"]
    assert models["short"]["context_length"] == 32
    assert models["short"]["size_vram"] == 0
    assert datetime.fromisoformat(models["short"]["expires_at"]).year == 9999


@pytest.mark.parametrize("body", [{"model": "short"}, {"name": "short"}, {"model": "short:latest"}])
def test_show_says_what_a_model_can_do(client: httpx.Client, body: dict[str, str]) -> None:
    shown = client.post("/api/show", json=body).json()
    assert shown["capabilities"] == ["completion", "tools"]
    info = shown["model_info"]
    assert info[f"{info['general.architecture']}.context_length"] == 32
    assert shown["parameters"] == "num_ctx 32"
    assert "{% for m in messages %}" in shown["template"]
    assert ".Suffix" not in shown["template"]
    assert shown["details"]["family"] == "fake"
    assert "FROM short" in shown["modelfile"]


def test_an_unloaded_model_is_listed_and_shown_but_does_not_run(
    start_server: Any, make_model: Any
) -> None:
    with start_server(make_model("idle")) as server, server.client() as client:
        assert client.post("/v1/models/idle/unload").status_code == 200
        assert list(by_name(client, "/api/tags")) == ["idle"]
        assert by_name(client, "/api/ps") == {}
        shown = client.post("/api/show", json={"model": "idle"}).json()
        assert shown["details"]["family"] == "fake"
        assert client.get("/v1/models/idle").json()["state"] == "unloaded"


def test_a_model_that_is_not_ready_cannot_be_shown(client: httpx.Client) -> None:
    response = client.post("/api/show", json={"model": "broken"})
    assert response.status_code == 503
    assert "a tensor is missing" in response.text


@pytest.mark.parametrize("body", [{}, {"stream": True}, {"stream": False}, {"insecure": True}])
def test_pulling_what_is_there_succeeds(client: httpx.Client, body: dict[str, Any]) -> None:
    response = client.post("/api/pull", json={"model": "fast:latest", **body})
    assert response.status_code == 200
    assert response.json() == {"status": "success"}


@pytest.mark.parametrize("path", ["/api/show", "/api/pull", "/api/embed", "/api/embeddings"])
def test_an_unknown_model_is_a_404(client: httpx.Client, path: str) -> None:
    response = client.post(path, json={"model": "llama3"})
    assert response.status_code == 404
    assert "The model 'llama3' does not exist" in response.text


@pytest.mark.parametrize("path", ["/api/embed", "/api/embeddings"])
def test_embeddings_are_refused(client: httpx.Client, path: str) -> None:
    response = client.post(path, json={"model": "fast", "input": "a", "prompt": "a"})
    assert response.status_code == 400
    assert "makes no embeddings" in response.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/create"),
        ("POST", "/api/copy"),
        ("DELETE", "/api/delete"),
        ("POST", "/api/push"),
    ],
)
def test_models_are_not_managed_here(client: httpx.Client, method: str, path: str) -> None:
    response = client.request(method, path, json={"model": "fast"})
    assert response.status_code == 400
    assert "Instead, " in response.text


def test_the_version_is_ollamas_and_our_own(client: httpx.Client) -> None:
    shown = client.get("/api/version").json()
    assert shown["codeserve"] == version("codeserve")
    assert [int(part) for part in shown["version"].split(".")] >= [0, 6, 4]


def test_the_root_names_the_server(client: httpx.Client) -> None:
    response = client.get("/")
    assert (response.status_code, response.text) == (200, "codeserve is running")
    assert client.head("/").status_code == 200
