import json
from typing import Any

from codeserve.app.api.generation.account import Account
from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.generation.choices import Choices
from codeserve.app.api.generation.plan import Plan
from codeserve.app.api.openai.completion_reply import CompletionReply
from codeserve.app.api.openai.completion_types import CompletionRequest
from codeserve.app.edge.record import RequestRecord
from codeserve.engines.types import FinishReason, PromptReport, TextDelta, Usage
from tests.app.api.openai.tokens import scored, token

BOS = 256

PROMPT = PromptReport(
    token_ids=(BOS, 97),
    text="a",
    spellings=(b"<bos>", b"a"),
    logprobs=(None, scored(token("a", -2.0, 97), token("x", -0.5, 120), rank=2)),
)
DELTAS = (
    TextDelta(
        text="ü",
        token_ids=(195, 188),
        logprobs=(scored(token(b"\xc3", -0.1, 195)), scored(token(b"\xbc", -0.2, 188))),
        prompt=PROMPT,
    ),
    TextDelta(token_ids=(98,)),
    TextDelta(
        text="b",
        token_ids=(257,),
        logprobs=(
            scored(token("b", -0.3, 98)),
            scored(token("<eos>", -0.4, 257, is_text=False)),
        ),
        finish_reason=FinishReason.STOP,
        stop_reason=257,
        usage=Usage(prompt_tokens=2, completion_tokens=4),
    ),
)


def reply(**fields: Any) -> CompletionReply:
    body = CompletionRequest.model_validate({"model": "m", "prompt": "a", **fields})
    return CompletionReply("m", body, BOS)


def whole(*answers: Answer, **fields: Any) -> list[dict[str, Any]]:
    choices: list[dict[str, Any]] = json.loads(reply(**fields).whole(answers, Usage()))["choices"]
    return choices


def streamed(**fields: Any) -> list[dict[str, Any]]:
    writer = reply(stream=True, **fields)
    choices = Choices(Plan(id="x", prompts=[()]), [], Account(RequestRecord("x")), None)
    frames = [frame for delta in DELTAS for frame in writer.frames(choices, 0, delta)]
    return [json.loads(frame.removeprefix(b"data: "))["choices"][0] for frame in frames]


def answer(index: int = 0, *deltas: TextDelta) -> Answer:
    answer = Answer(index)
    for delta in deltas or DELTAS:
        answer.add(delta)
    return answer


def test_an_echo_with_logprobs_is_one_list_of_tokens() -> None:
    (choice,) = whole(answer(), echo=True, logprobs=1)
    assert choice == {
        "text": "aüb",
        "index": 0,
        "logprobs": {
            "tokens": ["<bos>", "a", r"bytes:\xc3", r"bytes:\xbc", "b", "<eos>"],
            "token_logprobs": [None, -2.0, -0.1, -0.2, -0.3, -0.4],
            "top_logprobs": [
                None,
                {"x": -0.5, "a": -2.0},
                {r"bytes:\xc3": -0.1},
                {r"bytes:\xbc": -0.2},
                {"b": -0.3},
                {"<eos>": -0.4},
            ],
            "text_offset": [0, 0, 1, 1, 2, 3],
        },
        "finish_reason": "stop",
        "stop_reason": None,
    }


def test_a_stream_says_the_same_in_pieces_with_the_echo_first() -> None:
    pieces = streamed(echo=True, logprobs=1, return_token_ids=True)
    (choice,) = whole(answer(), echo=True, logprobs=1, return_token_ids=True)
    assert [piece["text"] for piece in pieces] == ["a", "ü", "", "b", ""]
    logprobs = [piece["logprobs"] for piece in pieces if piece["logprobs"]]
    joined = {name: [item for part in logprobs for item in part[name]] for name in logprobs[0]}
    assert joined == choice["logprobs"]
    assert [piece.get("prompt_token_ids") for piece in pieces] == [[BOS, 97], *[None] * 4]
    assert [piece.get("token_ids") for piece in pieces] == [[], [195, 188], [98], [257], None]
    assert choice["prompt_token_ids"] == [BOS, 97]
    assert choice["token_ids"] == [195, 188, 98, 257]
    assert [piece["finish_reason"] for piece in pieces] == [*[None] * 4, "stop"]


def test_zero_logprobs_are_not_none() -> None:
    (choice,) = whole(answer(), logprobs=0)
    assert choice["logprobs"]["top_logprobs"][-1] == {"<eos>": -0.4}
    assert whole(answer())[0]["logprobs"] is None


def test_prompt_logprobs_are_in_each_choice() -> None:
    (choice,) = whole(answer(), prompt_logprobs=0)
    assert choice["text"] == "üb"
    assert choice["prompt_logprobs"] == [
        None,
        {"97": {"logprob": -2.0, "rank": 2, "decoded_token": "a"}},
    ]


def test_a_stop_id_that_was_asked_for_is_the_reason() -> None:
    assert whole(answer(), stop_token_ids=[257])[0]["stop_reason"] == 257
    assert streamed(stop_token_ids=[257])[-1]["stop_reason"] == 257


def test_the_likeliest_candidates_of_each_prompt_are_given() -> None:
    def candidate(text: str, *logprobs: float) -> Answer:
        tokens = tuple(scored(token(text, logprob)) for logprob in logprobs)
        return answer(0, TextDelta(text=text, logprobs=tokens, finish_reason=FinishReason.LENGTH))

    first = [candidate("low", -3.0), candidate("long", *[-0.5] * 9), candidate("mid", -1.0)]
    second = [candidate("x", -2.0), candidate("none"), candidate("y", -1.0)]
    choices = whole(*first, *second, prompt=["a", "b"], n=2, best_of=3)
    assert [choice["text"] for choice in choices] == ["long", "mid", "y", "x"]
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3]
    assert {choice["logprobs"] for choice in choices} == {None}
