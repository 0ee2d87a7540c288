"""Pages of other origins ask models, but launch and end none."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

NAMED = "https://tools.example"


@pytest.fixture
def client(start_server: Any, make_model: Any) -> Iterator[httpx.Client]:
    origins = ("*", NAMED)
    with start_server(make_model("a"), cors_origins=origins) as server, server.client() as client:
        yield client


def test_a_page_of_another_origin_changes_nothing(client: httpx.Client) -> None:
    page = {"origin": "https://elsewhere.example"}
    ended = client.delete("/v1/models/a", headers=page)
    launched = client.post("/v1/models", headers=page, json={"model_name": "smollm2-instruct"})
    assert ended.status_code == launched.status_code == 403
    assert ended.json()["error"]["code"] == "foreign_origin"
    assert "cors_origins" in ended.json()["error"]["message"]
    assert [model["id"] for model in client.get("/v1/models", headers=page).json()["data"]] == ["a"]


def test_it_may_ask_models(client: httpx.Client) -> None:
    page = {"origin": "https://elsewhere.example"}
    body = {"model": "a", "prompt": "x", "max_tokens": 2}
    assert client.post("/v1/completions", headers=page, json=body).status_code == 200


@pytest.mark.parametrize("whose", ["nobody's", "the server's own", "a named one's"])
def test_others_may_change_the_server(client: httpx.Client, whose: str) -> None:
    own = str(client.base_url).rstrip("/")
    origin = {
        "nobody's": {},
        "the server's own": {"origin": own},
        "a named one's": {"origin": NAMED},
    }
    assert client.post("/v1/models/a/pin", headers=origin[whose]).status_code == 200
