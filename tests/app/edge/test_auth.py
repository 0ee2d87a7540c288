"""Who gets in, with what, and how far."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from codeserve.app.keys.key import KeyScope
from tests.app.keys.keys import add_key

ASK = {"model": "a", "prompt": "x", "max_tokens": 2}


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, start_server: Any, make_model: Any
) -> Iterator[httpx.Client]:
    path: Path = tmp_path_factory.mktemp("keys") / "keys.toml"
    add_key(path, "asker")
    add_key(path, "operator", scopes=frozenset({KeyScope.ADMIN}))
    with start_server(make_model("a"), keys=path) as server, server.client() as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("headers", [bearer("asker"), {"api-key": "asker"}, {"x-api-key": "asker"}])
def test_a_key_gets_in_by_any_of_its_headers(client: httpx.Client, headers: dict[str, str]) -> None:
    assert client.post("/v1/completions", headers=headers, json=ASK).status_code == 200


@pytest.mark.parametrize("headers", [{}, bearer("none"), {"authorization": "Basic YTpi"}])
def test_nobody_gets_in_without_one(client: httpx.Client, headers: dict[str, str]) -> None:
    answer = client.post("/v1/completions", headers=headers, json=ASK)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "invalid_api_key"
