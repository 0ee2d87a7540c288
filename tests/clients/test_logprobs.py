"""Log-probabilities as OpenAI's client and LangChain read them."""

import math
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from langchain_openai import ChatOpenAI

from tests.clients.examples import BODY, GREETING, GREETING_TURN, HEAD, HELLO
from tests.clients.server import BASE, INSTRUCT, Server

CHAT: Any = {"model": INSTRUCT, "messages": GREETING_TURN, "temperature": 0, "logprobs": True}
TEXT: Any = {"model": BASE, "prompt": HEAD, "temperature": 0, "max_tokens": 64}


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.api, api_key="none", max_retries=0) as client:
        yield client


def test_the_bytes_of_a_chats_tokens_are_its_content(client: openai.OpenAI) -> None:
    """Also where a character is made of several tokens."""
    [choice] = client.chat.completions.create(**CHAT, top_logprobs=3).choices
    assert choice.logprobs is not None
    entries = choice.logprobs.content or []

    assert bytes(byte for entry in entries for byte in entry.bytes or []).decode() == HELLO
    assert all(len(entry.top_logprobs) == 3 for entry in entries)
    assert all(entry.logprob == max(top.logprob for top in entry.top_logprobs) for entry in entries)


def test_a_streamed_chat_has_the_same_log_probabilities(client: openai.OpenAI) -> None:
    [choice] = client.chat.completions.create(**CHAT).choices
    assert choice.logprobs is not None
    whole = choice.logprobs.content or []
    with client.chat.completions.stream(**CHAT) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.logprobs is not None
    streamed = final.logprobs.content or []

    assert [entry.token for entry in streamed] == [entry.token for entry in whole]
    for one, other in zip(streamed, whole, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-3)


def test_echoed_prompt_and_text_have_aligned_lists(client: openai.OpenAI) -> None:
    [choice] = client.completions.create(**TEXT, echo=True, logprobs=2).choices
    scores = choice.logprobs
    assert scores is not None
    assert scores.tokens is not None
    assert scores.token_logprobs is not None
    assert scores.top_logprobs is not None
    assert scores.text_offset is not None
    lists = (scores.tokens, scores.token_logprobs, scores.top_logprobs, scores.text_offset)

    assert choice.text == HEAD + BODY
    assert len({len(entries) for entries in lists}) == 1
    assert scores.token_logprobs[0] is None
    assert all(score is not None and math.isfinite(score) for score in scores.token_logprobs[1:])
    assert scores.text_offset[:2] == [0, 0], "the BOS is not part of the text"
    for offset, token in list(zip(scores.text_offset, scores.tokens, strict=True))[1:]:
        shown = choice.text[offset : offset + len(token)]
        assert shown in (token, ""), "nor is the end"


def test_a_prompt_of_ids_is_scored_from_its_first_id(client: openai.OpenAI) -> None:
    """As lm-eval asks: one entry for each id and exactly one for what follows."""
    ids = [1551, 957, 7, 64, 11, 270, 1772, 185]
    [choice, other] = client.completions.create(
        model=BASE, prompt=[ids, ids[:3]], temperature=0, max_tokens=1, echo=True, logprobs=1
    ).choices
    assert choice.logprobs is not None
    assert other.logprobs is not None

    assert len(choice.logprobs.token_logprobs or []) == len(ids) + 1
    assert len(other.logprobs.token_logprobs or []) == 3 + 1
    top = (choice.logprobs.top_logprobs or [])[1:]
    scored = (choice.logprobs.token_logprobs or [])[1:]
    assert all(score in entry.values() for score, entry in zip(scored, top, strict=True))


def test_no_alternatives_are_not_no_log_probabilities(client: openai.OpenAI) -> None:
    [choice] = client.completions.create(**TEXT, logprobs=0).choices
    assert choice.logprobs is not None
    assert len(choice.logprobs.tokens or []) == len(choice.logprobs.token_logprobs or [])


def test_alternatives_without_log_probabilities_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**CHAT | {"logprobs": False}, top_logprobs=2)
    assert refused.value.param == "top_logprobs"


def test_langchain_keeps_log_probabilities(server: Server) -> None:
    model = ChatOpenAI(base_url=server.api, api_key="none", model=INSTRUCT, temperature=0)
    message = model.bind(logprobs=True).invoke(GREETING)
    entries = message.response_metadata["logprobs"]["content"]
    assert bytes(byte for entry in entries for byte in entry["bytes"]).decode() == HELLO
