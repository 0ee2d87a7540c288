from typing import Any

import pytest

from codeserve.app.api.openai.completion_types import CompletionRequest
from codeserve.app.api.openai.sampling import sampling_params
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import Grammar, GrammarKind, SamplingParams
from codeserve.model_specs.spec import Sampling
from tests.app.api.openai.models import engine_info


def params(recommended: Sampling | None = None, **fields: Any) -> SamplingParams:
    body = CompletionRequest.model_validate({"model": "m", "prompt": "a", **fields})
    return sampling_params(body, engine_info(recommended))


def test_what_is_left_out_has_openais_defaults() -> None:
    assert params() == SamplingParams()
    assert params(temperature=None, seed=None) == SamplingParams()


def test_what_is_left_out_has_the_models_defaults_first() -> None:
    recommended = Sampling(temperature=0.2, top_p=0.9, top_k=40)
    assert params(recommended, top_p=1, top_k=None) == SamplingParams(
        temperature=0.2, top_p=1.0, top_k=40
    )


def test_every_field_arrives() -> None:
    assert params(
        temperature=0,
        top_k=5,
        top_p=0.5,
        min_p=0.1,
        typical_p=0.7,
        presence_penalty=1,
        frequency_penalty=-1,
        repetition_penalty=1.1,
        logit_bias={"7": -100},
        seed=-2,
        min_tokens=3,
        allowed_token_ids=[1, 99],
        guided_regex="a+",
    ) == SamplingParams(
        temperature=0.0,
        top_k=5,
        top_p=0.5,
        min_p=0.1,
        typical_p=0.7,
        presence_penalty=1.0,
        frequency_penalty=-1.0,
        repetition_penalty=1.1,
        logit_bias={7: -100.0},
        seed=-2,
        min_tokens=3,
        allowed_ids=(1, 99),
        grammar=Grammar(GrammarKind.REGEX, "a+"),
    )


def test_the_repetition_penalty_has_two_names() -> None:
    assert params(repeat_penalty=1.2).repetition_penalty == 1.2


def test_minus_one_is_no_seed() -> None:
    assert params(seed=-1).seed is None


@pytest.mark.parametrize(
    ("field", "value"), [("logit_bias", {"100": 1}), ("allowed_token_ids", [1, 100])]
)
def test_a_token_beyond_the_vocabulary_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"'{field}': token id 100 does not exist"):
        params(**{field: value})
