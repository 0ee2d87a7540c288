from typing import Any

import pytest
from pydantic import ValidationError

from codeserve.app.api.openai.completion_types import CompletionRequest
from codeserve.app.api.openai.text_request import text_request
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import TextRequest
from tests.app.api.openai.models import engine_info


def request(max_tokens: int | None = 9, **fields: Any) -> TextRequest:
    body = CompletionRequest.model_validate({"model": "m", "prompt": "a", **fields})
    return text_request(body, engine_info(), max_tokens)


def test_a_plain_request_asks_for_nothing_special() -> None:
    assert request() == TextRequest(max_tokens=9)


def test_every_field_arrives() -> None:
    assert request(
        stop=["x"],
        stop_token_ids=[7],
        ignore_eos=True,
        include_stop_str_in_output=True,
        skip_special_tokens=False,
        truncate_prompt_tokens=5,
        priority=-3,
        cache_salt="mine",
    ) == TextRequest(
        max_tokens=9,
        stop=("x",),
        stop_ids=(7,),
        ignore_eos=True,
        include_stop=True,
        show_control=True,
        truncate_prompt_tokens=5,
        priority=-3,
        cache_salt="mine",
    )


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stop_token_ids": [100]}, "stop_token_ids"),
        ({"ignore_eos": True, "grammar": 'root ::= "a"'}, "ignore_eos"),
        ({"min_tokens": 10}, "min_tokens"),
    ],
)
def test_fields_that_contradict_each_other_or_the_model_are_refused(
    fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        request(**fields)
    assert refusal.value.param == param


def test_any_number_of_least_tokens_fits_an_open_end() -> None:
    assert request(max_tokens=None, min_tokens=10).sampling.min_tokens == 10


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 16),
        ({"max_tokens": 5}, 5),
        ({"n_predict": 5}, 5),
        ({"n_predict": 0}, 0),
        ({"n_predict": -1}, None),
        ({"n_predict": None, "max_tokens": None}, 16),
    ],
)
def test_the_limit_has_two_names(fields: dict[str, Any], expected: int | None) -> None:
    body = CompletionRequest.model_validate({"model": "m", "prompt": "a", **fields})
    assert body.limit(16) == expected


def test_both_names_of_the_limit_at_once_are_refused() -> None:
    with pytest.raises(ValidationError, match="send one of them"):
        CompletionRequest.model_validate(
            {"model": "m", "prompt": "a", "n_predict": 5, "max_tokens": 5}
        )
