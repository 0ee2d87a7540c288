import httpx
import pytest

BODY = {"model": "fast", "prompt": "a", "max_tokens": 1}


@pytest.mark.parametrize("path", ["//v1/completions", "/v1/completions/", "///v1//completions//"])
def test_slashes_too_many_are_no_redirect(client: httpx.Client, path: str) -> None:
    response = client.post(f"{str(client.base_url).rstrip('/')}{path}", json=BODY)
    assert (response.status_code, response.history) == (200, [])


def test_a_list_with_a_slash_at_its_end_is_the_list(client: httpx.Client) -> None:
    assert client.get("/v1/models/").json()["object"] == "list"


@pytest.mark.parametrize("slash", ["/", "%2F", "%2f"])
def test_a_model_id_may_contain_a_slash(client: httpx.Client, slash: str) -> None:
    response = client.get(f"/v1/models/deepseek-ai{slash}coder")
    assert response.status_code == 404
    assert "'deepseek-ai/coder'" in response.json()["error"]["message"]


def test_a_path_that_is_no_utf_8_is_a_404(client: httpx.Client) -> None:
    assert client.get("/v1/models/%FF%ED%A0%80").status_code == 404
    assert client.get("/%FF").status_code == 404
