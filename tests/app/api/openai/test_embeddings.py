from typing import Any

import httpx
import pytest

PATHS = pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])


def refusal(client: httpx.Client, path: str, status: int, **body: Any) -> dict[str, Any]:
    response = client.post(path, json=body)
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    return error


@PATHS
def test_embeddings_are_refused_with_a_way_out(client: httpx.Client, path: str) -> None:
    error = refusal(client, path, 400, model="fast", input=["a", "b"])
    assert (error["param"], error["code"]) == ("model", "unsupported_parameter")
    assert "Use a server of embedding models" in error["message"]


@PATHS
def test_an_unknown_model_is_a_404(client: httpx.Client, path: str) -> None:
    error = refusal(client, path, 404, model="text-embedding-3-small", input="a")
    assert error["code"] == "model_not_found"


@PATHS
def test_a_request_names_its_model(client: httpx.Client, path: str) -> None:
    assert "you must provide a model" in refusal(client, path, 400, input="a")["message"]
