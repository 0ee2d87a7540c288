import pytest

from codeserve.app.api.generation.output_form import json_object, json_schema
from codeserve.app.api.ollama.generate_types import GenerateRequest
from codeserve.app.api.ollama.options import Options
from codeserve.engines.types import Grammar, SamplingParams
from codeserve.model_specs.spec import Sampling
from tests.app.api.openai.models import engine_info

MODEL = engine_info().variant


def test_what_is_left_out_has_ollamas_defaults_but_no_repeat_penalty() -> None:
    assert Options().sampling(None, MODEL) == SamplingParams(temperature=0.8, top_k=40, top_p=0.9)


def test_what_the_model_recommends_comes_before_ollamas_defaults() -> None:
    model = engine_info(Sampling(temperature=0.2, top_p=0.5, repetition_penalty=1.1)).variant
    expected = SamplingParams(temperature=0.3, top_k=40, top_p=0.5, repetition_penalty=1.1)
    assert Options(temperature=0.3).sampling(None, model) == expected


def test_every_option_is_honoured() -> None:
    options = Options(
        temperature=0,
        top_k=0,
        top_p=0.5,
        min_p=0.1,
        typical_p=0.7,
        seed=7,
        repeat_penalty=1.1,
        presence_penalty=1,
        frequency_penalty=-1,
    )
    assert options.sampling(json_object(), MODEL) == SamplingParams(
        temperature=0,
        top_k=0,
        top_p=0.5,
        min_p=0.1,
        typical_p=0.7,
        seed=7,
        repetition_penalty=1.1,
        presence_penalty=1,
        frequency_penalty=-1,
        grammar=json_object(),
    )


def test_seed_minus_one_is_a_fresh_one() -> None:
    assert Options(seed=-1).sampling(None, MODEL).seed is None


def test_no_last_tokens_are_penalised_in_a_window_of_none() -> None:
    options = Options(repeat_last_n=0, repeat_penalty=1.5, presence_penalty=1, frequency_penalty=1)
    assert options.sampling(None, MODEL) == Options().sampling(None, MODEL)


@pytest.mark.parametrize(
    ("given", "form"),
    [
        (None, None),
        ("", None),
        ("json", json_object()),
        ({"type": "array"}, json_schema({"type": "array"})),
    ],
)
def test_a_format_is_a_grammar(given: object, form: Grammar | None) -> None:
    request = GenerateRequest.model_validate({"model": "m", "format": given})
    assert request.format == form
