from typing import Any

import httpx
import pytest

from codeserve.app.model_settings import ModelSettings
from tests.app.conftest import running_server


def completed_by(client: httpx.Client, **body: Any) -> str:
    response = client.post("/completion", json={"prompt": "a", "n_predict": 1, **body})
    assert response.status_code == 200, response.text
    model: str = response.json()["model"]
    return model


@pytest.mark.parametrize("model", [{}, {"model": None}, {"model": ""}])
def test_without_a_model_one_that_fills_comes_first(
    tiny: httpx.Client, model: dict[str, Any]
) -> None:
    assert completed_by(tiny, **model) == "base"


def test_a_named_model_is_taken(tiny: httpx.Client) -> None:
    assert completed_by(tiny, model="instruct") == "instruct"


def test_a_chat_takes_the_first_model_that_chats(tiny: httpx.Client) -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    assert "### Instruction:\nHello" in tiny.post("/apply-template", json=body).json()["prompt"]


def test_where_none_fills_the_first_ready_one_is_taken(client: httpx.Client) -> None:
    assert completed_by(client) == "fast"


def test_an_unknown_model_is_a_404(client: httpx.Client) -> None:
    response = client.post("/completion", json={"prompt": "a", "model": "fats"})
    assert response.status_code == 404
    assert "Did you mean 'fast'" in response.json()["error"]["message"]


def test_where_none_is_ready_the_first_says_why(make_model: Any) -> None:
    broken: ModelSettings = make_model("broken", fail_load="a tensor is missing")
    with running_server(broken) as server, server.client() as client:
        response = client.post("/completion", json={"prompt": "a"})
    assert response.status_code == 503
    assert "a tensor is missing" in response.json()["error"]["message"]


def test_without_any_model_a_request_is_a_404() -> None:
    with running_server() as server, server.client() as client:
        response = client.post("/completion", json={"prompt": "a"})
    assert response.status_code == 404
    assert response.json()["error"]["message"] == "No model is served here."
