"""OpenAI's Responses API, stateless."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from langchain_openai import ChatOpenAI

from tests.clients.examples import GREETING, GREETING_TURN, HELLO
from tests.clients.server import INSTRUCT, Server

ASKED: Any = {"model": INSTRUCT, "input": GREETING, "temperature": 0}


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.api, api_key="none", max_retries=0) as client:
        yield client


def test_a_text_is_answered(client: openai.OpenAI) -> None:
    response = client.responses.create(**ASKED)

    assert response.output_text == HELLO
    assert response.status == "completed"
    assert response.id.startswith("resp")
    assert [item.type for item in response.output] == ["message"]
    assert response.usage is not None
    assert response.usage.input_tokens + response.usage.output_tokens == response.usage.total_tokens


@pytest.mark.parametrize(
    "content", [GREETING, [{"type": "input_text", "text": GREETING}]], ids=["text", "parts"]
)
def test_a_list_of_turns_is_answered(client: openai.OpenAI, content: Any) -> None:
    turns = [{"role": "user", "content": content}]
    assert client.responses.create(**ASKED | {"input": turns}).output_text == HELLO


def test_the_prompt_is_the_chats(client: openai.OpenAI) -> None:
    chat: Any = {"model": INSTRUCT, "messages": GREETING_TURN, "temperature": 0}
    system: Any = {"role": "system", "content": "Be brief."}
    told: Any = chat | {"messages": [system, *GREETING_TURN]}
    for response, completion in (
        (client.responses.create(**ASKED), client.chat.completions.create(**chat)),
        (
            client.responses.create(**ASKED, instructions="Be brief."),
            client.chat.completions.create(**told),
        ),
    ):
        assert response.usage is not None
        assert completion.usage is not None
        assert response.usage.input_tokens == completion.usage.prompt_tokens


def test_an_answer_cut_off_says_so(client: openai.OpenAI) -> None:
    response = client.responses.create(**ASKED, max_output_tokens=2)

    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


def test_events_come_in_order(client: openai.OpenAI) -> None:
    events = list(client.responses.create(**ASKED, stream=True))
    kinds = [event.type for event in events]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]

    assert "".join(deltas) == HELLO
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [kind for kind in dict.fromkeys(kinds) if kind != "response.in_progress"] == [
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_the_streaming_helper_puts_a_response_together(client: openai.OpenAI) -> None:
    with client.responses.stream(**ASKED) as stream:
        assert stream.get_final_response().output_text == HELLO


def test_a_response_that_was_not_kept_cannot_be_continued(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.responses.create(**ASKED, previous_response_id="resp_1")
    assert refused.value.status_code in (400, 404)
    assert refused.value.param == "previous_response_id"


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.responses.create(**ASKED | {"model": "none"})


def test_langchain_speaks_it(server: Server) -> None:
    model = ChatOpenAI(
        base_url=server.api,
        api_key="none",
        model=INSTRUCT,
        temperature=0,
        use_responses_api=True,
        max_retries=0,
    )
    assert model.invoke(GREETING).text == HELLO
    assert "".join(chunk.text for chunk in model.stream(GREETING)) == HELLO
