from typing import Any

import httpx
import pytest

from tests.app.api.admin.launching import begin, launch, states


def test_a_terminated_model_is_gone(own_client: httpx.Client) -> None:
    launch(own_client)
    response = own_client.delete("/v1/models/mine")
    assert response.json() == {"id": "mine", "object": "model", "deleted": True}
    assert states(own_client) == {}
    assert own_client.get("/v1/models/mine").status_code == 404


def test_a_model_that_loads_may_be_terminated(own_client: httpx.Client) -> None:
    job = begin(own_client, load_seconds=60.0)
    assert own_client.delete("/v1/models/mine").status_code == 200
    assert states(own_client) == {}
    assert own_client.get(f"/v1/jobs/{job['id']}").json()["state"] == "cancelled"


def test_an_unloaded_model_loads_for_the_next_request(own_client: httpx.Client) -> None:
    launch(own_client)
    assert own_client.post("/v1/models/mine/unload").json()["state"] == "unloaded"
    body = {"model": "mine", "prompt": "a", "max_tokens": 6}
    assert own_client.post("/v1/completions", json=body).status_code == 200
    assert states(own_client) == {"mine": "ready"}


def test_a_pinned_model_is_not_unloaded(own_client: httpx.Client) -> None:
    launch(own_client)
    assert own_client.post("/v1/models/mine/pin").json()["pinned"] is True
    response = own_client.post("/v1/models/mine/unload")
    assert response.status_code == 400
    assert "pinned" in response.json()["detail"]
    assert own_client.post("/v1/models/mine/unpin").json()["pinned"] is False
    assert own_client.post("/v1/models/mine/unload").status_code == 200


def test_ids_with_slashes_work_on_every_route(own_client: httpx.Client) -> None:
    launch(own_client, model_uid="org/mine")
    for path in ("/v1/models/org/mine", "/v1/models/org%2Fmine"):
        assert own_client.get(path).json()["id"] == "org/mine"
        assert own_client.get(f"{path}/progress").json()["progress"] == 1.0
        assert "lines" in own_client.get(f"{path}/logs").json()
        for verb in ("pin", "unpin", "unload"):
            assert own_client.post(f"{path}/{verb}").json()["id"] == "org/mine"
        assert own_client.post(f"{path}/restart").json()["model_uid"] == "org/mine"
    assert own_client.delete("/v1/models/org%2Fmine").json()["id"] == "org/mine"


@pytest.mark.parametrize("verb", ["restart", "cancel", "pin", "unpin", "unload"])
def test_an_unknown_model_is_a_404(client: httpx.Client, verb: str) -> None:
    response = client.post(f"/v1/models/none/{verb}")
    assert response.status_code == 404
    assert "none" in response.json()["detail"]


def test_an_unknown_model_cannot_be_terminated(client: httpx.Client) -> None:
    response = client.delete("/v1/models/fats")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
    assert "Did you mean 'fast'" in response.json()["detail"]


def test_instances_are_models_in_xinferences_words(client: httpx.Client) -> None:
    listed = {one["model_uid"]: one for one in client.get("/v1/models/instances").json()}
    assert listed["fast"]["status"] == "READY"
    assert listed["fast"]["n_worker"] == 1
    assert listed["broken"]["status"] == "ERROR"


def test_one_instance_may_be_asked_for(client: httpx.Client) -> None:
    def ids(**params: Any) -> list[str]:
        found = client.get("/v1/models/instances", params=params)
        return [one["model_uid"] for one in found.json()]

    assert ids(model_uid="fast") == ["fast"]
    assert ids(model_name="none") == []


def test_clients_need_not_log_in(client: httpx.Client) -> None:
    assert client.get("/v1/cluster/auth").json() == {"auth": False}
