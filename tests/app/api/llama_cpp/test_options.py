from typing import Any

import pytest

from codeserve.app.api.llama_cpp.options import GenerationOptions
from codeserve.app.manager.admission import Admission
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.leases import Leases
from codeserve.app.manager.replicas import Replicas
from codeserve.engines.types import Grammar, GrammarKind, SamplingParams, TextRequest
from codeserve.model_specs.spec import Sampling
from tests.app.api.openai.models import engine_info


async def request(recommended: Sampling | None = None, /, **fields: Any) -> TextRequest:
    """What ``fields`` ask of a model; without texts in ``logit_bias`` it needs no worker."""
    no_worker: Replicas = None  # type: ignore[assignment]
    model = LeasedModel("m", engine_info(recommended), no_worker, Leases(Admission()))
    return await GenerationOptions(**fields).request(model)


async def test_nothing_given_is_llama_cpps_default() -> None:
    expected = SamplingParams(temperature=0.8, top_k=40, top_p=0.95, min_p=0.05)
    assert await request() == TextRequest(sampling=expected, show_prompt=True)


async def test_what_the_model_recommends_comes_before_llama_cpps_default() -> None:
    recommended = Sampling(temperature=0.2, top_k=5, repetition_penalty=1.1)
    expected = SamplingParams(
        temperature=0.2, top_k=7, top_p=0.95, min_p=0.05, repetition_penalty=1.1
    )
    assert (await request(recommended, top_k=7)).sampling == expected
    assert (await request(recommended, samplers=[])).sampling == SamplingParams()


@pytest.mark.parametrize(
    ("samplers", "expected"),
    [
        (["top_k", "top_p"], SamplingParams(top_k=7, top_p=0.9)),
        (["top_k", "top_p", "infill"], SamplingParams(top_k=7, top_p=0.9, min_p=0.5)),
        (["typ_p", "temp"], SamplingParams(typical_p=0.8, temperature=0.3)),
        (["min_p", "unknown"], SamplingParams(min_p=0.1)),
        (["penalties"], SamplingParams(repetition_penalty=1.2, presence_penalty=0.4)),
        ("kt", SamplingParams(top_k=7, temperature=0.3)),
        ([], SamplingParams()),
    ],
)
async def test_a_sampler_that_is_left_out_does_nothing(
    samplers: object, expected: SamplingParams
) -> None:
    given = {"temperature": 0.3, "top_k": 7, "top_p": 0.9, "min_p": 0.1, "typical_p": 0.8}
    penalties = {"repeat_penalty": 1.2, "presence_penalty": 0.4}
    assert (await request(**given, **penalties, samplers=samplers)).sampling == expected


async def test_penalties_over_no_tokens_are_none() -> None:
    given = {"repeat_penalty": 1.2, "presence_penalty": 0.4, "frequency_penalty": 0.2}
    sampling = (await request(**given, repeat_last_n=0)).sampling
    assert sampling.repetition_penalty == 1
    assert sampling.presence_penalty == sampling.frequency_penalty == 0


async def test_negative_values_mean_off_greedy_and_random() -> None:
    sampling = (await request(temperature=-1, top_k=-1, seed=-1)).sampling
    assert (sampling.temperature, sampling.top_k, sampling.seed) == (0, 0, None)


async def test_limits_of_lines_are_passed_on() -> None:
    asked = await request(t_max_predict_ms=250, n_indent=4, ignore_eos=True)
    assert (asked.line_seconds, asked.least_indent, asked.ignore_eos) == (0.25, 4, True)
    assert (await request(t_max_predict_ms=0)).line_seconds is None
    assert (await request(t_max_predict_ms=-1)).line_seconds is None


async def test_a_warm_up_computes_one_token_after_everybody_else() -> None:
    asked = await request(n_predict=0)
    assert asked.max_tokens == 1
    assert asked.priority > (await request(n_predict=1)).priority


async def test_an_uncached_prompt_shares_nothing() -> None:
    salts = [(await request(cache_prompt=cached)).cache_salt for cached in (False, False, True)]
    assert salts[0]
    assert salts[0] != salts[1]
    assert salts[2] == ""


async def test_the_form_of_the_output_is_a_grammar() -> None:
    gbnf, schema = 'root ::= "a"', {"type": "integer"}
    assert (await request(grammar=gbnf)).sampling.grammar == Grammar(GrammarKind.GBNF, gbnf)
    grammar = (await request(json_schema=schema)).sampling.grammar
    assert grammar == Grammar(GrammarKind.JSON_SCHEMA, '{"type": "integer"}')
    assert (await request(grammar="")).sampling.grammar is None


async def test_scores_are_asked_for_by_n_probs() -> None:
    assert (await request(n_probs=3)).logprobs == 3
    assert (await request(n_probs=0)).logprobs is None


@pytest.mark.parametrize(
    ("fields", "shown"), [([], True), (None, True), (["prompt"], True), (["content"], False)]
)
async def test_the_prompt_is_reported_only_where_it_is_shown(fields: Any, shown: bool) -> None:
    assert (await request(response_fields=fields)).show_prompt is shown
