import math

from codeserve.app.api.openai.prompt_logprobs import prompt_logprobs
from codeserve.engines.types import PromptReport
from tests.app.api.openai.tokens import scored, token


def test_each_token_of_a_prompt_has_the_likeliest_ones_and_itself() -> None:
    report = PromptReport(
        token_ids=(1, 2, 3),
        text="",
        logprobs=(
            None,
            scored(token("a", -4.0, 2), token("x", -0.1, 8), token("y", -0.2, 9), rank=5),
            scored(token(b"\xc3", -math.inf, 3), token(b"\xc3", -0.5, 7), rank=2),
        ),
    )
    assert prompt_logprobs(report, 1) == [
        None,
        {
            2: {"logprob": -4.0, "rank": 5, "decoded_token": "a"},
            8: {"logprob": -0.1, "rank": 1, "decoded_token": "x"},
        },
        {
            3: {"logprob": -9999.0, "rank": 2, "decoded_token": "�"},
            7: {"logprob": -0.5, "rank": 1, "decoded_token": "�"},
        },
    ]
