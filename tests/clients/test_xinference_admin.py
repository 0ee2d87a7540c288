"""Xinference's client: models come and go."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xinference_client import RESTfulClient

from tests.clients.examples import BODY, GREETING_TURN, HEAD, HELLO
from tests.clients.server import Server

GREEDY = {"temperature": 0, "max_tokens": 64}

EXACT = {
    "context_length": 512,
    "tune": False,
    "flash_attn": "off",
    "type_k": "f32",
    "type_v": "f32",
}
"""The engine's options with which the tiny model is sure of its answers."""

FAMILY = """
model_name = "my-coder"
description = "DeepSeek Coder, fine-tuned."
languages = ["en"]
abilities = ["generate"]

[[variants]]
name = "v1"
vocabulary = "deepseek-coder"
context_length = 16384

[[specs]]
size_in_billions = "1_3"
model_format = "ggufv2"
variant = "v1"
engines = ["llama.cpp"]
quantizations = ["Q4_K_M"]
default_quantization = "Q4_K_M"

[[specs.sources]]
hub = "huggingface"
model_id = "me/my-coder-GGUF"
file = "my-coder.{quantization}.gguf"
"""


@pytest.fixture
def client(server: Server) -> Iterator[RESTfulClient]:
    client = RESTfulClient(server.url)
    yield client
    client.close()


@pytest.fixture
def weights(models: Path) -> dict[str, Any]:
    """The arguments that launch the tiny model by its path."""
    return {
        "model_engine": "llama.cpp",
        "model_path": str(models / "tiny-deepseek-coder.gguf"),
        "model_size_in_billions": 1.3,
        "model_format": "ggufv2",
        "n_gpu": None,
        **EXACT,
    }


def test_a_base_model_is_launched_asked_and_terminated(
    client: RESTfulClient, weights: dict[str, Any]
) -> None:
    uid = client.launch_model("deepseek-coder", model_uid="org/mine", **weights)
    assert uid == "org/mine"
    listed = client.list_models()[uid]
    assert listed["model_name"] == "deepseek-coder"
    assert listed["model_format"] == "ggufv2"
    assert listed["state"] == "ready"
    described = client.describe_model(uid)
    assert described["model_engine"] == "llama.cpp"
    assert described["context_length"] == 512
    answer = client.get_model(uid).generate(HEAD, generate_config=GREEDY)
    assert answer["choices"][0]["text"] == BODY
    assert client.get_launch_model_progress(uid)["progress"] == 1.0
    client.terminate_model(uid)
    assert uid not in client.list_models()


def test_an_instruct_model_chats_under_the_name_of_its_family(
    client: RESTfulClient, weights: dict[str, Any]
) -> None:
    uid = client.launch_model("deepseek-coder-instruct", **weights)
    assert uid == "deepseek-coder-instruct"
    answer = client.get_model(uid).chat(GREETING_TURN, generate_config=GREEDY)
    assert answer["choices"][0]["message"]["content"] == HELLO
    (instance,) = client.get_instance_info("deepseek-coder-instruct", uid)
    assert (instance["status"], instance["model_ability"]) == ("READY", ["chat"])
    client.terminate_model(uid)


def test_a_launch_that_is_not_waited_for_can_be_followed(
    client: RESTfulClient, weights: dict[str, Any]
) -> None:
    uid = client.launch_model("deepseek-coder", wait_ready=False, **weights)
    progress: dict[str, Any] = {}
    while not progress.get("job", {}).get("ended"):
        progress = client.get_launch_model_progress(uid)
    assert (progress["progress"], progress["job"]["state"]) == (1.0, "succeeded")
    client.terminate_model(uid)


def test_a_launch_that_waits_for_nobody_is_cancelled(
    client: RESTfulClient, weights: dict[str, Any]
) -> None:
    uid = client.launch_model("deepseek-coder", wait_ready=False, **weights)
    client.cancel_launch_model(uid)
    assert uid not in client.list_models()


def test_what_cannot_be_launched_says_why(client: RESTfulClient) -> None:
    with pytest.raises(RuntimeError, match="Did you mean deepseek-coder"):
        client.launch_model("deepseek-codr", model_engine="llama.cpp")
    with pytest.raises(RuntimeError, match=r"Did you mean .*Q4_K_M"):
        client.launch_model(
            "deepseek-coder",
            model_engine="llama.cpp",
            model_size_in_billions="1_3",
            model_format="ggufv2",
            quantization="Q4_K_N",
        )
    with pytest.raises(RuntimeError, match="'n_worker'"):
        client.launch_model("deepseek-coder", n_worker=2)


def test_a_folder_that_is_no_model_says_so_and_leaves_its_id_free(
    client: RESTfulClient, weights: dict[str, Any], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")
    with pytest.raises(RuntimeError, match=r"Failed to launch model, detail: .*broken\.gguf"):
        client.launch_model(
            "deepseek-coder", model_engine="llama.cpp", model_uid="mine", model_path=str(broken)
        )
    client.launch_model("deepseek-coder", model_uid="mine", **weights)
    client.terminate_model("mine")


def test_a_model_that_there_is_not_cannot_be_terminated(client: RESTfulClient) -> None:
    with pytest.raises(RuntimeError, match="'none' does not exist"):
        client.terminate_model("none")


def test_engines_say_what_they_load(client: RESTfulClient) -> None:
    engines = client.query_engine_by_model_name("deepseek-coder")
    assert {"llama.cpp", "vLLM", "Transformers"} <= set(engines)
    assert {spec["model_format"] for spec in engines["llama.cpp"]} == {"ggufv2"}
    assert client.query_engine_by_model_name("deepseek-coder", None) == engines


def test_a_family_is_registered_and_unregistered(client: RESTfulClient) -> None:
    def names() -> dict[str, bool]:
        listed = client.list_model_registrations("LLM")
        return {one["model_name"]: one["is_builtin"] for one in listed}

    assert names()["deepseek-coder"] is True
    client.register_model("LLM", FAMILY, persist=True)
    assert names()["my-coder"] is False
    family = client.get_model_registration("LLM", "my-coder")
    assert family["model_specs"][0]["quantizations"] == ["Q4_K_M"]
    client.unregister_model("LLM", "my-coder")
    assert "my-coder" not in names()


def test_a_definition_in_xinferences_words_is_refused(client: RESTfulClient) -> None:
    with pytest.raises(RuntimeError, match="family file of its own"):
        client.register_model("LLM", '{"version": 2, "model_name": "mine"}', persist=True)


def test_cached_weights_are_listed(client: RESTfulClient) -> None:
    (pulled,) = client.list_cached_models("deepseek-coder")
    assert (pulled["model_size_in_billions"], pulled["quantization"]) == ("1_3", "Q2_K")
    files = client.list_deletable_models(pulled["model_version"])
    assert files["paths"] == [pulled["path"]]
    assert client.list_cached_models("deepseek-coder-instruct") == []


def test_weights_in_use_are_not_removed(client: RESTfulClient) -> None:
    (pulled,) = client.list_cached_models("deepseek-coder")
    uid = client.launch_model(
        "deepseek-coder",
        model_engine="llama.cpp",
        model_size_in_billions="1_3",
        model_format="ggufv2",
        quantization="Q2_K",
        n_gpu=None,
        **EXACT,
    )
    answer = client.get_model(uid).generate(HEAD, generate_config=GREEDY)
    assert answer["choices"][0]["text"] == BODY
    with pytest.raises(RuntimeError, match="in use by deepseek-coder"):
        client.confirm_and_remove_model(pulled["model_version"])
    client.terminate_model(uid)


def test_weights_that_there_are_not_cannot_be_removed(client: RESTfulClient) -> None:
    with pytest.raises(RuntimeError, match="no weights called 'none'"):
        client.confirm_and_remove_model("none")
