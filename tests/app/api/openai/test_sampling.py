from typing import Any

import pytest

from codeserve.app.api.openai.completion_types import CompletionRequest
from codeserve.app.api.openai.sampling import sampling_params
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import SamplingParams


def params(**fields: Any) -> SamplingParams:
    body = CompletionRequest.model_validate({"model": "m", "prompt": "a", **fields})
    return sampling_params(body, vocab_size=100)


def test_what_is_left_out_has_openais_defaults() -> None:
    assert params() == SamplingParams()
    assert params(temperature=None, seed=None) == SamplingParams()


def test_every_field_arrives() -> None:
    assert params(
        temperature=0,
        top_k=5,
        top_p=0.5,
        min_p=0.1,
        presence_penalty=1,
        frequency_penalty=-1,
        repetition_penalty=1.1,
        logit_bias={"7": -100},
        seed=-1,
    ) == SamplingParams(
        temperature=0.0,
        top_k=5,
        top_p=0.5,
        min_p=0.1,
        presence_penalty=1.0,
        frequency_penalty=-1.0,
        repetition_penalty=1.1,
        logit_bias={7: -100.0},
        seed=-1,
    )


def test_the_repetition_penalty_has_two_names() -> None:
    assert params(repeat_penalty=1.2).repetition_penalty == 1.2


def test_a_bias_beyond_the_vocabulary_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="token id 100 does not exist"):
        params(logit_bias={"100": 1})
