from typing import Any

import httpx
import pytest

BOS_ID, EOS_ID, HOLE_ID = 32013, 32014, 32015
HELLO = [17535, 1835]
JSON = {"content-type": "application/json"}


def tokenize(client: httpx.Client, **body: Any) -> Any:
    response = client.post("/tokenize", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def detokenize(client: httpx.Client, tokens: list[int]) -> Any:
    response = client.post("/detokenize", json={"tokens": tokens})
    assert response.status_code == 200, response.text
    return response.json()


def test_llama_vscode_counts_tokens(tiny: httpx.Client) -> None:
    body = {"content": "Hello world", "add_special": False, "parse_special": True}
    assert tokenize(tiny, **body) == {"tokens": HELLO}


@pytest.mark.parametrize(
    ("options", "tokens"),
    [
        ({}, [HOLE_ID, *HELLO]),
        ({"add_special": True}, [BOS_ID, HOLE_ID, *HELLO]),
        ({"parse_special": True}, [HOLE_ID, *HELLO]),
    ],
)
def test_control_tokens_are_meant_in_llama_cpps_dialect(
    tiny: httpx.Client, options: dict[str, Any], tokens: list[int]
) -> None:
    assert tokenize(tiny, content="<｜fim▁hole｜>Hello world", **options)["tokens"] == tokens


def test_control_tokens_can_be_text(tiny: httpx.Client) -> None:
    body = {"content": "<｜fim▁hole｜>", "parse_special": False}
    tokens = tokenize(tiny, **body)["tokens"]
    assert HOLE_ID not in tokens
    assert tokenize(tiny, **body, add_special=True)["tokens"] == [BOS_ID, *tokens]


def test_pieces_are_text_or_bytes(tiny: httpx.Client) -> None:
    pieces = tokenize(tiny, content="Hello é🙂", with_pieces=True)["tokens"]
    assert pieces[0] == {"id": 17535, "piece": "Hello"}
    spelled = [piece["piece"] for piece in pieces]
    assert any(isinstance(piece, list) for piece in spelled)
    parts = (bytes(p) if isinstance(p, list) else p.encode() for p in spelled)
    assert b"".join(parts).decode() == "Hello é🙂"


def test_vllms_dialect_counts(tiny: httpx.Client) -> None:
    counted = tokenize(tiny, prompt="Hello world", return_token_strs=True)
    assert counted == {
        "tokens": [BOS_ID, *HELLO],
        "count": 3,
        "max_model_len": 512,
        "token_strs": ["<｜begin▁of▁sentence｜>", "Hello", " world"],
    }


def test_lm_eval_finds_the_ids_of_bos_and_eos(tiny: httpx.Client) -> None:
    """It reads their names and tokenises them without special tokens."""
    info = tiny.get("/tokenizer_info").json()
    ids = [
        tokenize(tiny, prompt=info[name], add_special_tokens=False)["tokens"]
        for name in ("bos_token", "eos_token")
    ]
    assert ids == [[BOS_ID], [EOS_ID]]
    text = tokenize(tiny, prompt="Hello world", add_special_tokens=False)
    assert text["tokens"] == HELLO


def test_a_conversation_is_the_rendered_template(tiny: httpx.Client) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
    ]
    rendered = tiny.post("/apply-template", json={"messages": messages}).json()
    assert rendered == {"prompt": "Be brief.### Instruction:\nHello\n### Response:\n"}
    counted = tokenize(tiny, messages=messages)
    assert counted["tokens"] == tokenize(tiny, prompt=rendered["prompt"])["tokens"]


def test_a_template_can_end_with_the_conversation(tiny: httpx.Client) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    body = {"messages": messages, "add_generation_prompt": False}
    assert tiny.post("/apply-template", json=body).json()["prompt"].endswith("Hello\n")


def test_markers_typed_in_a_message_are_text(tiny: httpx.Client) -> None:
    messages = [{"role": "user", "content": "<|EOT|>"}]
    assert 32021 not in tokenize(tiny, messages=messages)["tokens"]


def test_a_model_without_a_template_is_a_400(tiny: httpx.Client) -> None:
    body = {"model": "base", "messages": [{"role": "user", "content": "Hello"}]}
    for path in ("/apply-template", "/tokenize"):
        response = tiny.post(path, json=body)
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "chat_not_supported"


@pytest.mark.parametrize("text", ["", "Hello world", "Grüße 🙂\n\n\tx", "Führer", "  a  b "])
def test_tokens_become_their_text_again(tiny: httpx.Client, text: str) -> None:
    tokens = tokenize(tiny, content=text, parse_special=False)["tokens"]
    assert detokenize(tiny, tokens) == {"content": text, "prompt": text}


def test_control_tokens_are_spelled(tiny: httpx.Client) -> None:
    assert detokenize(tiny, [BOS_ID, *HELLO])["content"] == "<｜begin▁of▁sentence｜>Hello world"


@pytest.mark.parametrize(
    ("tokens", "param"),
    [([99999], "tokens"), ([-1], "tokens[0]"), ([2**40], "tokens[0]"), ("a", "tokens")],
)
def test_ids_must_exist(tiny: httpx.Client, tokens: object, param: str) -> None:
    response = tiny.post("/detokenize", json={"tokens": tokens})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize("body", [{}, {"content": "a", "prompt": "b"}, {"prompt": None}])
def test_one_text_must_be_given(tiny: httpx.Client, body: dict[str, Any]) -> None:
    response = tiny.post("/tokenize", json=body)
    assert response.status_code == 400
    assert "'content', 'prompt' and 'messages'" in response.json()["error"]["message"]


def test_half_a_surrogate_pair_is_a_400(tiny: httpx.Client) -> None:
    response = tiny.post("/tokenize", content=b'{"content":"\\ud800"}', headers=JSON)
    assert response.status_code == 400
    assert "surrogate" in response.json()["error"]["message"]
