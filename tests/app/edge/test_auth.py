"""Who gets in, with what, and how far."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from codeserve.app.keys.key import KeyScope
from tests.app.conftest import RunningServer
from tests.app.keys.keys import add_key

ASK = {"model": "a", "prompt": "x", "max_tokens": 2}

OPEN = {"/livez", "/readyz", "/startupz", "/health", "/v1/health", "/v1/cluster/auth"}
LISTS = {"/v1/models", "/v1/models/{model_id}", "/models", "/models/{model_id}"}
"""What those who ask models need as well as those who launch them."""

DOCUMENTATION = ("/openapi.json", "/docs", "/docs/swagger-ui.css")

NOT_ALLOWED = "insufficient_permissions"


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, start_server: Any, make_model: Any
) -> Iterator[RunningServer]:
    """Keys are called after what they open."""
    path: Path = tmp_path_factory.mktemp("keys") / "keys.toml"
    for scope in KeyScope:
        add_key(path, scope, scopes=frozenset({scope}))
    add_key(path, "of a", models=("a*",))
    add_key(path, "of none", models=())
    add_key(path, "old", expires=datetime(2020, 1, 1, tzinfo=UTC))
    with start_server(make_model("secret"), make_model("a"), keys=path) as server:
        yield server


@pytest.fixture
def client(guarded: RunningServer) -> Iterator[httpx.Client]:
    with guarded.client() as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "headers",
    [
        bearer("inference"),
        {"authorization": "bearer inference"},
        {"api-key": "inference"},
        {"x-api-key": "inference"},
    ],
)
def test_a_key_gets_in_by_any_of_its_headers(client: httpx.Client, headers: dict[str, str]) -> None:
    assert client.post("/v1/completions", headers=headers, json=ASK).status_code == 200


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "asks for an API key"),
        (bearer("wrong"), "not one of this server's"),
        ({"authorization": "Bearer"}, "not one of this server's"),
        ({"authorization": "Basic YTpi", "x-api-key": "inference"}, "must be Bearer"),
        (bearer("old"), "'old' expired on 2020-01-01"),
    ],
)
def test_nobody_gets_in_without_a_valid_one(
    client: httpx.Client, headers: dict[str, str], why: str
) -> None:
    answer = client.post("/v1/completions", headers=headers, json=ASK)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
    assert why in error["message"]


def test_a_refusal_has_the_shape_of_its_dialect(client: httpx.Client) -> None:
    assert "API key" in client.post("/api/chat", json={}).json()["error"]
    refused = client.post("/v1/messages", json={}).json()
    assert refused["error"]["type"] == "authentication_error"


def test_a_body_is_not_read_before_the_key(guarded: RunningServer) -> None:
    """The server answers though nothing of the announced body is ever sent."""
    host, port = httpx.URL(guarded.url).host, httpx.URL(guarded.url).port
    with socket.create_connection((host, port), timeout=10) as connection:
        head = "POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


def test_probes_and_preflights_need_no_key(client: httpx.Client) -> None:
    for path in OPEN:
        assert client.get(path).status_code == 200, path
    asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
    assert client.options("/v1/completions", headers=asked).status_code == 200


def test_xinferences_clients_are_told_to_send_their_key(client: httpx.Client) -> None:
    assert client.get("/v1/cluster/auth").json() == {"auth": True}


def test_no_route_is_open_to_a_key_that_it_is_not_for(client: httpx.Client) -> None:
    """Whatever routes there are, now and later."""
    document = client.get("/openapi.json", headers=bearer("inference")).json()
    for template, item in document["paths"].items():
        path = template.replace("{model_id}", "none")
        for method, operation in item.items():
            parts = _parts(template, operation["tags"])
            assert (_status(client, method, path, None) == 401) is bool(parts), (method, path)
            for scope in set(KeyScope) - parts if parts else ():
                assert _status(client, method, path, scope) == 403, (method, path, scope)
    for path in DOCUMENTATION:
        assert _status(client, "get", path, None) == 401


def test_open_metrics_need_no_key_but_refuse_a_wrong_one(tmp_path: Path, start_server: Any) -> None:
    keys = tmp_path / "keys.toml"
    for scope in KeyScope:
        add_key(keys, scope, scopes=frozenset({scope}))
    with start_server(keys=keys, open_metrics=True) as server, server.client() as client:
        assert _status(client, "get", "/metrics", None) == 200
        assert _status(client, "head", "/metrics/", None) == 200
        assert _status(client, "get", "/metrics", "metrics") == 200
        assert _status(client, "get", "/metrics", "inference") == 403
        assert _status(client, "get", "/metrics", "wrong") == 401
        assert client.get("/metrics", headers={"x-api-key": "wrong"}).status_code == 401
        for path in ("/v1/models", "/v1/jobs", "/metrics/more", "/docs"):
            assert _status(client, "get", path, None) == 401, path


def test_each_scope_opens_its_part(client: httpx.Client) -> None:
    assert client.get("/metrics", headers=bearer("metrics")).status_code == 200
    assert client.get("/v1/jobs", headers=bearer("admin")).status_code == 200
    assert client.post("/v1/models/a/pin", headers=bearer("admin")).status_code == 200
    for scope in ("inference", "admin"):
        assert client.get("/v1/models/a", headers=bearer(scope)).status_code == 200


def _parts(template: str, tags: list[str]) -> set[KeyScope]:
    if template in OPEN:
        return set()
    if template in LISTS and tags == ["openai"]:
        return {KeyScope.INFERENCE, KeyScope.ADMIN}
    return {{"admin": KeyScope.ADMIN, "metrics": KeyScope.METRICS}.get(tags[0], KeyScope.INFERENCE)}


def _status(client: httpx.Client, method: str, path: str, token: str | None) -> int:
    headers = bearer(token) if token else {}
    body: dict[str, object] | None = None if method in ("get", "delete") else {}
    return client.request(method, path, headers=headers, json=body).status_code


def test_no_route_asks_a_model_that_is_not_the_keys(client: httpx.Client) -> None:
    """Whatever routes there are, now and later: each is documented with an example."""
    headers = bearer("of a")
    document = client.get("/openapi.json", headers=headers).json()
    asked = 0
    for template, item in document["paths"].items():
        path = template.replace("{model_id}", "secret")
        operation = item.get("post", {})
        content = operation.get("requestBody", {}).get("content", {})
        if operation.get("tags") == ["admin"] or not content:
            continue
        for example in content["application/json"]["examples"].values():
            body = {**example["value"], "model": "secret"}
            answer = client.post(path, headers=headers, json=body)
            assert answer.status_code == 403, (path, answer.text)
            assert "'secret'" in answer.text
            asked += 1
    assert asked > 20
    for path in ("/v1/models/secret", "/models/secret", "/props?model=secret"):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == NOT_ALLOWED


def test_lists_show_a_key_its_own_models(client: httpx.Client) -> None:
    def listed(token: str) -> list[str]:
        return [one["id"] for one in client.get("/v1/models", headers=bearer(token)).json()["data"]]

    assert listed("of a") == ["a"]
    assert listed("of none") == []
    assert listed("inference") == listed("admin") == ["secret", "a"]
    for path in ("/api/tags", "/api/ps"):
        models = client.get(path, headers=bearer("of a")).json()["models"]
        assert [model["name"] for model in models] == ["a"]


def test_a_request_that_names_no_model_gets_one_of_the_keys(client: httpx.Client) -> None:
    body = {"prompt": "x", "n_predict": 1}
    assert client.post("/completion", headers=bearer("of a"), json=body).json()["model"] == "a"
    answer = client.post("/completion", headers=bearer("of none"), json=body)
    assert answer.status_code == 404
    assert "No model that the API key 'of none' may use" in answer.json()["error"]["message"]
