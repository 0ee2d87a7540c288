from typing import Any

import httpx
import pytest

from codeserve.app.api.admin.router import FAMILY


@pytest.mark.parametrize("path", ["/v1/engines/LLM/deepseek-coder", "/v1/engines/deepseek-coder"])
def test_engines_are_listed_with_what_they_load_here(client: httpx.Client, path: str) -> None:
    engines = client.get(path).json()
    assert {"llama.cpp", "vLLM", "Transformers"} <= set(engines)
    assert {spec["model_format"] for spec in engines["llama.cpp"]} == {"ggufv2"}
    small = next(spec for spec in engines["llama.cpp"] if spec["model_size_in_billions"] == "1_3")
    assert small["model_name"] == "deepseek-coder"
    assert "Q4_K_M" in small["quantizations"]
    assert "fake" not in engines


def test_an_engine_that_is_not_installed_says_how_to_install_it(client: httpx.Client) -> None:
    engines = client.get("/v1/engines/LLM/deepseek-coder").json()
    for engine in ("vLLM", "Transformers"):
        loads = engines[engine]
        assert isinstance(loads, list) or "codeserve engines install" in loads


def test_every_pair_of_engine_and_weights_has_its_reason(client: httpx.Client) -> None:
    rows: list[dict[str, Any]] = client.get("/v1/engines/LLM/deepseek-coder?detailed=true").json()
    gguf = [row for row in rows if row["model_format"] == "ggufv2"]
    assert {row["engine"]: row["loads"] for row in gguf} == {
        "llama.cpp": True,
        "vllm": False,
        "transformers": False,
    }
    for row in rows:
        assert (row["reason"] is None) is row["loads"]
    vllm = next(row for row in gguf if row["engine"] == "vllm")
    assert "cannot load a GGUF file" in vllm["reason"]


def test_a_quantisation_that_no_engine_knows_has_its_reason(own_client: httpx.Client) -> None:
    text = FAMILY.replace('"ggufv2"', '"pytorch"').replace("Q4_K_M", "Int3")
    text = text.replace("llama.cpp", "transformers")
    registered = own_client.post("/v1/model_registrations/LLM", json={"model": text})
    assert registered.status_code == 200, registered.text
    rows = own_client.get("/v1/engines/LLM/my-coder?detailed=true").json()
    assert {row["loads"] for row in rows} == {False}
    assert "'Int3'" in rows[0]["reason"]
    own_client.delete("/v1/model_registrations/LLM/my-coder")


def test_an_unknown_family_lists_those_that_there_are(client: httpx.Client) -> None:
    response = client.get("/v1/engines/LLM/deepseek-codr")
    assert response.status_code == 404
    assert "Did you mean deepseek-coder" in response.json()["detail"]


def test_only_language_models_have_engines(client: httpx.Client) -> None:
    response = client.get("/v1/engines/image/deepseek-coder")
    assert response.status_code == 404
    assert "'LLM'" in response.json()["detail"]
