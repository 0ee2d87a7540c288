"""Log-probabilities on the tiny trained model, as evaluation harnesses read them."""

from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.e2e.server import Server

PROMPT = "def add(a, b):\n    # Führer 🦙 sagt ü\n    return"


def complete(server: Server, **body: Any) -> dict[str, Any]:
    response = httpx.post(
        f"{server.url}/v1/completions",
        json={"model": "tiny-base", "temperature": 0, "logprobs": 2, **body},
        timeout=60,
    )
    assert response.status_code == 200, response.text
    (choice,) = response.json()["choices"]
    return dict(choice)


def test_the_tokens_of_text_and_their_places_are_those_of_the_text(server: Server) -> None:
    choice = complete(server, prompt=PROMPT, echo=True, max_tokens=8)
    text, logprobs = choice["text"], choice["logprobs"]
    assert text.startswith(PROMPT)
    whole_tokens = [
        (name, offset)
        for name, offset in zip(logprobs["tokens"], logprobs["text_offset"], strict=True)
        if not name.startswith(("bytes:", "<"))
    ]
    assert len(whole_tokens) > 10
    assert all(text[offset:].startswith(name) for name, offset in whole_tokens)
    assert "ü" in logprobs["tokens"]
    assert sum(name.startswith("bytes:") for name in logprobs["tokens"]) >= 2
    assert all(first <= second for first, second in pairwise(logprobs["text_offset"]))


def test_an_echo_is_as_likely_as_it_was_when_it_was_generated(server: Server) -> None:
    prompt = {"prompt": PROMPT, "return_token_ids": True}
    generated = complete(server, **prompt, max_tokens=8)
    ids = generated["prompt_token_ids"] + generated["token_ids"]
    echoed = complete(server, prompt=ids, echo=True, max_tokens=1)

    begin = len(generated["prompt_token_ids"])
    later = echoed["logprobs"]["token_logprobs"][begin:-1]
    assert later == pytest.approx(generated["logprobs"]["token_logprobs"], abs=2e-2)
    tops = echoed["logprobs"]["top_logprobs"][begin:-1]
    assert [max(top, key=top.__getitem__) for top in tops] == generated["logprobs"]["tokens"]


def test_a_continuation_has_an_entry_for_each_token_and_one_more(server: Server) -> None:
    ids = complete(server, prompt="def add", return_token_ids=True, max_tokens=0)[
        "prompt_token_ids"
    ]
    scored = complete(server, prompt=ids, echo=True, max_tokens=1, logprobs=1, seed=1234)
    logprobs = scored["logprobs"]
    assert len(logprobs["tokens"]) == len(ids) + 1
    assert logprobs["token_logprobs"][0] is None
    for name, logprob, top in zip(
        logprobs["tokens"][1:],
        logprobs["token_logprobs"][1:],
        logprobs["top_logprobs"][1:],
        strict=True,
    ):
        assert top[name] == logprob
        assert logprob <= max(top.values()) <= 0


def test_the_likeliest_of_several_candidates_is_given(server: Server) -> None:
    sampled = {"prompt": "def ", "temperature": 1.5, "max_tokens": 6, "seed": 3}
    best = complete(server, **sampled, best_of=6)
    means = []
    for seed in range(3, 9):
        candidate = complete(server, **sampled | {"seed": seed})["logprobs"]["token_logprobs"]
        means.append(sum(candidate) / len(candidate))
    given = best["logprobs"]["token_logprobs"]
    assert sum(given) / len(given) == pytest.approx(max(means), abs=2e-2)
