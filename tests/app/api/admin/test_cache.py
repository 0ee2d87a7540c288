from pathlib import Path

import httpx
import pytest

from codeserve.app.server_settings import ServerSettings
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.hub.artifact import Artifact, artifacts
from codeserve.model_specs.hub.store import Store
from codeserve.model_specs.hub.stored import Stored, StoredFile
from codeserve.model_specs.spec import Hub

VERSION = "deepseek-coder--1_3B--ggufv2--Q4_K_M"


def known() -> Artifact:
    """Where the catalogue has the weights that ``VERSION`` names."""
    catalog = Catalog.load()
    selection = catalog.select("deepseek-coder", size_in_billions="1_3", quantization="Q4_K_M")
    return artifacts(selection.spec, selection.quantization)[0]


def keep(artifact: Artifact, folder: Path) -> Path:
    """Have the store know of one small file; where it is."""
    path = folder / artifact.repository.replace("/", "-")
    path.write_bytes(b"weights")
    file = StoredFile(path.name, 7, "0" * 64, path.stat().st_mtime_ns)
    Store(ServerSettings().store).add(
        Stored(
            artifact=artifact,
            commit="abc",
            path=path,
            root=folder,
            files=(file,),
            pulled_at=1.0,
        )
    )
    return path


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept here, no other test shall find."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return keep(known(), tmp_path)


def test_weights_are_listed_as_the_catalogue_knows_them(
    own_client: httpx.Client, weights: Path
) -> None:
    (listed,) = own_client.get("/v1/cache/models?model_name=deepseek-coder").json()["list"]
    assert listed["model_version"] == VERSION
    assert listed["model_size_in_billions"] == "1_3"
    assert listed["quantization"] == "Q4_K_M"
    assert (listed["path"], listed["bytes"]) == (str(weights), 7)
    assert own_client.get("/v1/cache/models?model_name=none").json()["list"] == []


def test_weights_that_the_catalogue_does_not_know_are_named_by_their_repository(
    own_client: httpx.Client, tmp_path: Path
) -> None:
    path = keep(Artifact(hub=Hub.HUGGINGFACE, repository="me/mine", files=("a.gguf",)), tmp_path)
    listed = own_client.get("/v1/cache/models").json()["list"]
    (mine,) = (one for one in listed if one["model_id"] == "me/mine")
    assert (mine["model_name"], mine["model_hub"]) == (None, "huggingface")
    version = {"model_version": mine["model_version"]}
    files = own_client.get("/v1/cache/models/files", params=version).json()
    assert files == {**version, "worker_ip": None, "paths": [str(path)]}
    assert own_client.delete("/v1/cache/models", params=version).status_code == 200


def test_deleted_weights_are_gone(own_client: httpx.Client, weights: Path) -> None:
    params = {"model_version": VERSION}
    assert own_client.delete("/v1/cache/models", params=params).json() == {
        "result": True,
        "bytes": 7,
    }
    assert not weights.exists()
    assert own_client.get("/v1/cache/models/files", params=params).status_code == 404


def test_weights_in_use_stay(own_client: httpx.Client, weights: Path) -> None:
    body = {
        "model_uid": "mine",
        "model_name": "deepseek-coder",
        "model_size_in_billions": "1_3",
        "quantization": "Q4_K_M",
        "load": "on_demand",
    }
    assert own_client.post("/v1/models", json=body).status_code == 200
    response = own_client.delete("/v1/cache/models", params={"model_version": VERSION})
    assert response.status_code == 400
    assert "in use by mine" in response.json()["detail"]
    assert weights.exists()
    own_client.delete("/v1/models/mine")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_unknown_weights_are_a_404(client: httpx.Client, method: str) -> None:
    path = "/v1/cache/models" + ("/files" if method == "GET" else "")
    response = client.request(method, path, params={"model_version": "none"})
    assert response.status_code == 404
    assert "'none'" in response.json()["detail"]


def test_what_to_delete_must_be_said(client: httpx.Client) -> None:
    error = client.delete("/v1/cache/models").json()["error"]
    assert (error["param"], error["code"]) == ("model_version", "missing_required_parameter")


def test_there_is_one_machine(client: httpx.Client) -> None:
    response = client.get("/v1/cache/models?worker_ip=10.0.0.1")
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "worker_ip"
