"""What every engine promises of the choice of tokens, shown on each of them."""

import asyncio
import re

import pytest

from codeserve.engines.base import Engine
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import GenerationRequest, Grammar, GrammarKind, SamplingParams
from tests.engines.contract import StartEngine, a_request, deltas_of, idle, tokens_of


async def test_every_sampled_token_is_scored_on_request(start_engine: StartEngine) -> None:
    engine = await start_engine()
    deltas = await deltas_of(engine, a_request(engine, logprobs=3))
    tokens = [token for delta in deltas for token in delta.token_ids]
    scores = [score for delta in deltas for score in delta.scores]
    assert len(scores) == len(tokens) == 8
    for token, score in zip(tokens, scores, strict=True):
        assert (score.rank, score.top[0]) == (1, (token, score.logprob)), "greedy takes the best"
        assert len(score.top) == 3
        assert [logprob for _, logprob in score.top] == sorted(dict(score.top).values())[::-1]
        assert score.logprob <= 0


async def test_scores_are_those_of_the_model_whatever_is_ruled_out(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine()
    (free, *_) = await deltas_of(engine, a_request(engine, max_tokens=1, logprobs=2))
    (second, logprob) = free.scores[0].top[1]
    sampling = SamplingParams(temperature=0.0, allowed_ids=(second,))
    request = a_request(engine, max_tokens=1, logprobs=2, sampling=sampling)
    (forced, *_) = await deltas_of(engine, request)
    assert forced.token_ids == (second,)
    assert forced.scores[0].rank == 2
    assert forced.scores[0].logprob == pytest.approx(logprob, abs=1e-3)


async def test_a_prompt_is_scored_from_its_second_token_on(start_engine: StartEngine) -> None:
    engine = await start_engine()
    text = "The quick brown fox jumps over the lazy dog. " * 4
    plain = a_request(engine, text, max_tokens=2)
    await deltas_of(engine, plain)
    request = a_request(engine, text, max_tokens=2, prompt_logprobs=1, logprobs=0)
    first, *_ = deltas = await deltas_of(engine, request)
    assert len(first.prompt_scores) == len(request.prompt_ids) - 1
    assert first.cached_tokens == 0, "what is cached has no logits"
    assert all(score.logprob < 0 and len(score.top) == 1 for score in first.prompt_scores)
    assert not any(delta.prompt_scores for delta in deltas[1:])
    assert all(score.top == () for delta in deltas for score in delta.scores)


async def test_nothing_is_scored_that_nobody_asked_for(start_engine: StartEngine) -> None:
    engine = await start_engine()
    deltas = await deltas_of(engine, a_request(engine))
    assert not any(delta.scores or delta.prompt_scores for delta in deltas)


async def test_ids_that_are_ruled_out_are_not_sampled(start_engine: StartEngine) -> None:
    engine = await start_engine()
    likeliest, *_ = await tokens_of(engine, a_request(engine))
    request = a_request(engine, never_ids=frozenset({likeliest}))
    assert likeliest not in await tokens_of(engine, request)
    request = a_request(
        engine, sampling=SamplingParams(temperature=0.0, allowed_ids=(7, 9)), max_tokens=4
    )
    assert set(await tokens_of(engine, request)) <= {7, 9}


async def test_no_generation_ends_before_its_least_number_of_tokens(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine()
    likeliest, *_ = await tokens_of(engine, a_request(engine))
    sampling = SamplingParams(temperature=0.0, min_tokens=3)
    request = a_request(engine, stop_ids=frozenset({likeliest}), sampling=sampling)
    tokens = await tokens_of(engine, request)
    assert len(tokens) > 3
    assert likeliest not in tokens[:3]


def a_constrained_request(engine: Engine, kind: GrammarKind, source: str) -> GenerationRequest:
    return a_request(
        engine,
        max_tokens=250,
        stop_ids=engine.info.variant.stop_ids,
        sampling=SamplingParams(temperature=0.0, grammar=Grammar(kind, source)),
    )


@pytest.mark.parametrize(
    ("kind", "source", "form"),
    [
        (GrammarKind.REGEX, "[0-9]{3}-[a-f]{2}", r"[0-9]{3}-[a-f]{2}"),
        (GrammarKind.CHOICE, '["alpha", "beta"]', "alpha|beta"),
        (GrammarKind.GBNF, 'root ::= "(" [xy]+ ")"', r"\([xy]+\)?"),
        (GrammarKind.LARK, 'start: "a" B\nB: /b{2,5}/', "ab{2,5}"),
        (
            GrammarKind.JSON_SCHEMA,
            '{"type":"object","properties":{"n":{"enum":[1,2]}},"required":["n"],'
            '"additionalProperties":false}',
            r'\{\s*"n"\s*:\s*[12]\s*\}',
        ),
    ],
)
async def test_an_output_has_the_form_that_is_prescribed(
    start_engine: StartEngine, kind: GrammarKind, source: str, form: str
) -> None:
    engine = await start_engine()
    tokens = await tokens_of(engine, a_constrained_request(engine, kind, source))
    text = engine.tokenizer.decode(tokens)
    assert re.fullmatch(form, text), text


async def test_forms_differ_between_requests_that_run_together(start_engine: StartEngine) -> None:
    engine = await start_engine()
    requests = [
        a_constrained_request(engine, GrammarKind.REGEX, f"{letter}{{5}}") for letter in "abcd"
    ]
    tokens = await asyncio.gather(*(tokens_of(engine, request) for request in requests))
    assert [engine.tokenizer.decode(ids) for ids in tokens] == [c * 5 for c in "abcd"]


async def test_a_grammar_that_cannot_be_used_is_refused(start_engine: StartEngine) -> None:
    engine = await start_engine()
    with pytest.raises(InvalidRequest, match="regular expression cannot be used"):
        await engine.generate(a_constrained_request(engine, GrammarKind.REGEX, "("))
    assert engine.healthy
    assert engine.load.waiting == 0


async def test_rules_that_leave_no_token_end_their_request_alone(start_engine: StartEngine) -> None:
    engine = await start_engine()
    other = asyncio.create_task(tokens_of(engine, a_request(engine, max_tokens=30)))
    sampling = SamplingParams(allowed_ids=(7,))
    request = a_request(engine, never_ids=frozenset({7}), sampling=sampling)
    with pytest.raises(InvalidRequest, match="leave no token"):
        await tokens_of(engine, request)
    assert len(await other) == 30
    await idle(engine)
