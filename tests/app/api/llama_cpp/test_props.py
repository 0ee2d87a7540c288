from importlib.metadata import version

import httpx


def test_llama_vscode_finds_the_context_length(tiny: httpx.Client) -> None:
    props = tiny.get("/props").json()
    assert props["default_generation_settings"]["n_ctx"] == 512
    assert props["default_generation_settings"]["params"]["temperature"] == 0.8
    assert props["total_slots"] == 4
    assert props["model_alias"] == "base"


def test_weights_are_named_without_their_folder(tiny: httpx.Client) -> None:
    assert tiny.get("/props").json()["model_path"] == "tiny-deepseek-coder.gguf"


def test_a_model_can_be_named(tiny: httpx.Client) -> None:
    chatting = tiny.get("/props", params={"model": "instruct"}).json()
    assert "### Instruction:" in chatting["chat_template"]
    assert tiny.get("/props").json()["chat_template"] == ""
    info = tiny.get("/tokenizer_info", params={"model": "instruct"}).json()
    assert "### Instruction:" in info["chat_template"]


def test_a_model_that_is_not_ready_is_a_503(client: httpx.Client) -> None:
    for path in ("/props", "/tokenizer_info"):
        assert client.get(path, params={"model": "broken"}).status_code == 503
        assert client.get(path, params={"model": "none"}).status_code == 404


def test_the_version_is_the_servers(client: httpx.Client) -> None:
    assert client.get("/version").json() == {"version": version("codeserve")}
