from typing import Any

import pytest

from codeserve.engines.errors import UnsupportedFeature
from codeserve.engines.types import GenerationRequest, Grammar, GrammarKind, SamplingParams
from codeserve.engines.vllm.rules import Rules, Truncation
from codeserve.engines.vllm.sampling import translate, translate_for_drafts


def a_request(sampling: SamplingParams | None = None, **fields: Any) -> GenerationRequest:
    values: dict[str, Any] = {
        "id": "r",
        "prompt_ids": (1, 2),
        "max_tokens": 9,
        "stop_ids": frozenset({5, 4}),
        "sampling": sampling or SamplingParams(),
    }
    return GenerationRequest(**(values | fields))


def test_a_plain_request_needs_no_rules() -> None:
    params = translate(a_request())
    assert params.stop_token_ids == [4, 5]
    assert (params.max_tokens, params.detokenize, params.ignore_eos) == (9, False, True)
    assert (params.logprobs, params.prompt_logprobs, params.seed) == (None, None, None)
    assert params.extra_args is None


def test_vllms_own_parameters_are_used_where_it_has_them() -> None:
    sampling = SamplingParams(
        temperature=0.7,
        top_k=-1,
        top_p=0.9,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        repetition_penalty=1.1,
        logit_bias={7: 500.0},
        seed=-3,
    )
    params = translate(a_request(sampling, logprobs=2, prompt_logprobs=0))
    assert (params.temperature, params.top_k, params.top_p) == (0.7, 0, 0.9)
    assert (params.presence_penalty, params.frequency_penalty) == (0.5, -0.5)
    assert params.repetition_penalty == 1.1
    assert params.logit_bias == {7: 500.0}, "not clamped"
    assert params.seed == 2**63 - 3
    assert (params.logprobs, params.prompt_logprobs) == (2, 0)
    assert params.extra_args is None


@pytest.mark.parametrize("top_p", [0.0, -1.0, 2.0])
def test_a_top_p_beyond_vllms_range_keeps_its_meaning(top_p: float) -> None:
    params = translate(a_request(SamplingParams(top_p=top_p)))
    assert params.top_p == (1.0 if top_p > 1 else 1e-9)


def test_rules_of_ours_cross_without_the_prompt() -> None:
    grammar = Grammar(GrammarKind.REGEX, "a+")
    sampling = SamplingParams(grammar=grammar, min_tokens=2, typical_p=0.5, top_k=3)
    request = a_request(sampling, never_ids=frozenset({8}))
    params = translate(request)
    rules = Rules.unpacked(params.extra_args)
    assert rules is not None
    assert rules.truncation == Truncation(top_k=3, typical_p=0.5, top_p=1.0, min_p=0.0)
    assert (params.top_k, params.min_tokens) == (0, 0), "applied once"
    assert rules.constrained is not None
    assert rules.constrained.sampling.grammar == grammar
    assert rules.constrained.never_ids == {8}
    assert rules.constrained.prompt_ids == ()


def test_truncations_are_ours_only_where_the_order_matters() -> None:
    assert Truncation.of(SamplingParams(min_p=0.1, top_k=4)) is None
    assert Truncation.of(SamplingParams(min_p=0.1, top_p=0.5)) is not None
    assert Truncation.of(SamplingParams(typical_p=0.5)) is not None


@pytest.mark.parametrize(
    ("sampling", "name"),
    [
        (SamplingParams(grammar=Grammar(GrammarKind.REGEX, "a")), "response_format"),
        (SamplingParams(logit_bias={1: 1.0}), "logit_bias"),
        (SamplingParams(min_p=0.1), "min_p"),
        (SamplingParams(typical_p=0.1), "typical_p"),
    ],
)
def test_what_vllm_cannot_do_beside_drafts_is_refused(sampling: SamplingParams, name: str) -> None:
    with pytest.raises(UnsupportedFeature, match=name) as caught:
        translate_for_drafts(a_request(sampling), 10, frozenset({9}))
    assert caught.value.param == name


def test_padding_rows_are_ruled_out_beside_drafts() -> None:
    params = translate_for_drafts(a_request(), 10, frozenset({8, 9}))
    assert params.allowed_token_ids == list(range(8))
    sampling = SamplingParams(allowed_ids=(1, 9), min_tokens=2)
    params = translate_for_drafts(a_request(sampling), 10, frozenset({8, 9}))
    assert (params.allowed_token_ids, params.min_tokens) == ([1, 4, 5], 2)
