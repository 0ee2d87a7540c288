import json
import tomllib
from typing import Any

import httpx
import pytest

from codeserve.app.api.admin.router import FAMILY

FAMILIES = "/v1/model_registrations/LLM"


def register(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post(FAMILIES, json={"model": FAMILY, **body})


def names(client: httpx.Client) -> dict[str, bool]:
    return {one["model_name"]: one["is_builtin"] for one in client.get(FAMILIES).json()}


def test_shipped_families_are_listed(client: httpx.Client) -> None:
    assert names(client)["deepseek-coder-instruct"] is True


def test_a_family_is_shown_with_its_specs(client: httpx.Client) -> None:
    family = client.get(f"{FAMILIES}/deepseek-coder").json()
    assert family["model_ability"] == ["generate"]
    assert family["context_length"] == 16384
    sizes = {spec["model_size_in_billions"] for spec in family["model_specs"]}
    assert {"1_3", 33} <= sizes
    detailed = client.get(f"{FAMILIES}?detailed=true").json()
    assert family in detailed


@pytest.mark.parametrize("definition", [FAMILY, json.dumps(tomllib.loads(FAMILY))])
def test_a_family_is_registered_and_unregistered(own_client: httpx.Client, definition: str) -> None:
    assert register(own_client, model=definition, persist=True).status_code == 200
    assert names(own_client)["my-coder"] is False
    shown = own_client.get(f"{FAMILIES}/my-coder").json()
    assert shown["model_specs"][0]["model_id"] == "me/my-coder-GGUF"
    assert own_client.delete(f"{FAMILIES}/my-coder").status_code == 200
    assert "my-coder" not in names(own_client)
    kinds = [one["kind"] for one in own_client.get("/v1/events").json()["data"]]
    assert kinds == ["registered", "unregistered"]


def test_a_family_in_use_stays(own_client: httpx.Client) -> None:
    register(own_client)
    body = {"model_name": "my-coder", "model_uid": "mine", "load": "on_demand"}
    assert own_client.post("/v1/models", json=body).status_code == 200
    response = own_client.delete(f"{FAMILIES}/my-coder")
    assert response.status_code == 400
    assert "mine" in response.json()["detail"]
    own_client.delete("/v1/models/mine")
    assert own_client.delete(f"{FAMILIES}/my-coder").status_code == 200


@pytest.mark.parametrize(
    ("body", "param", "reason"),
    [
        ({"model": 1}, "model", "string"),
        ({"model": "a = "}, "model", "no TOML"),
        ({"model": '{"version": 2, "model_name": "a"}'}, "model", "Xinference's words"),
        ({"model": 'model_name = "a"'}, "model", "description"),
        ({"persist": False}, "persist", "keeps every"),
        ({"persist": "yes"}, "persist", "boolean"),
        ({"worker_ip": "10.0.0.1"}, "worker_ip", "own machine"),
    ],
)
def test_a_registration_that_cannot_be_is_refused(
    client: httpx.Client, body: dict[str, Any], param: str, reason: str
) -> None:
    response = register(client, **body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert reason in response.json()["detail"]
    assert "my-coder" not in names(client)


def test_a_shipped_family_stays(client: httpx.Client) -> None:
    response = client.delete(f"{FAMILIES}/deepseek-coder")
    assert response.status_code == 400
    assert "comes with codeserve" in response.json()["detail"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_family_is_a_404(client: httpx.Client, method: str) -> None:
    response = client.request(method, f"{FAMILIES}/deepseek-codr")
    assert response.status_code == 404
    assert "Did you mean deepseek-coder" in response.json()["detail"]


def test_only_language_models_are_registered(client: httpx.Client) -> None:
    response = client.get("/v1/model_registrations/image")
    assert response.status_code == 404
    assert "'LLM'" in response.json()["detail"]
