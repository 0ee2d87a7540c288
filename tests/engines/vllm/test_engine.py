"""What only vLLM could get wrong, on the tiny model; see also the suites of all engines."""

import msgspec
import pytest

from codeserve.engines.base import Engine
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import Grammar, GrammarKind, SamplingParams
from tests.engines.contract import StartEngine, a_request, deltas_of, idle, tokens_of

LONG = "x = 1\n" * 60
"""Some blocks of vLLM's cache."""


async def cached_tokens(engine: Engine, **fields: object) -> int:
    first, *rest = await deltas_of(engine, a_request(engine, LONG, max_tokens=2, **fields))
    assert not any(delta.cached_tokens for delta in rest)
    return first.cached_tokens


async def test_a_prefix_is_shared_among_requests_of_one_salt(start_engine: StartEngine) -> None:
    engine = await start_engine()
    assert await cached_tokens(engine, cache_salt="a") == 0
    assert await cached_tokens(engine, cache_salt="a") > 100
    assert await cached_tokens(engine, cache_salt="b") == 0


async def test_a_padding_row_is_never_sampled(start_engine: StartEngine) -> None:
    engine = await start_engine()
    padding = engine.tokenizer.never_sampled
    assert len(padding) > 100
    sampling = SamplingParams(temperature=0.0, logit_bias=dict.fromkeys(padding, 1000.0))
    tokens = await tokens_of(engine, a_request(engine, sampling=sampling))
    assert not set(tokens) & set(padding)


async def test_scores_are_those_of_the_model_under_a_grammar_as_well(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine()
    (free, *_) = await deltas_of(engine, a_request(engine, max_tokens=1, logprobs=3))
    sampling = SamplingParams(temperature=0.0, grammar=Grammar(GrammarKind.REGEX, "[0-9]{4}"))
    stop_ids = engine.info.variant.stop_ids
    request = a_request(engine, max_tokens=1, logprobs=3, sampling=sampling, stop_ids=stop_ids)
    (forced, *_) = await deltas_of(engine, request)
    assert engine.tokenizer.decode(forced.token_ids).isdigit()
    assert [i for i, _ in forced.scores[0].top] == [i for i, _ in free.scores[0].top]
    assert forced.scores[0].rank > 1


async def test_a_grammar_that_other_rules_contradict_is_an_error_of_its_request_alone(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine()
    tokenizer = engine.tokenizer
    digits = (i for i in range(engine.info.vocab_size) if tokenizer.piece(i)[:1].isdigit())
    sampling = SamplingParams(temperature=0.0, grammar=Grammar(GrammarKind.REGEX, "ab[0-9]"))
    request = a_request(
        engine,
        sampling=sampling,
        stop_ids=engine.info.variant.stop_ids,
        never_ids=frozenset(digits),
    )
    with pytest.raises(InvalidRequest) as caught:
        await tokens_of(engine, request)
    assert caught.value.code == "no_token_allowed"
    assert engine.healthy
    await idle(engine)


async def test_truncations_of_ours_follow_a_seed(start_engine: StartEngine) -> None:
    engine = await start_engine()
    sampling = SamplingParams(temperature=2.0, top_k=50, typical_p=0.9, top_p=0.9, min_p=0.01)
    draws = [
        await tokens_of(
            engine, a_request(engine, sampling=msgspec.structs.replace(sampling, seed=seed))
        )
        for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]
    only = msgspec.structs.replace(sampling, typical_p=0.9, top_k=1, seed=3)
    greedy = await tokens_of(engine, a_request(engine))
    assert await tokens_of(engine, a_request(engine, sampling=only)) == greedy


async def test_what_vllm_refuses_is_an_invalid_request(start_engine: StartEngine) -> None:
    engine = await start_engine()
    with pytest.raises(InvalidRequest, match="presence_penalty"):
        await engine.generate(a_request(engine, sampling=SamplingParams(presence_penalty=50.0)))
    await idle(engine)


async def test_info_says_what_was_settled(start_engine: StartEngine) -> None:
    engine = await start_engine()
    settings = engine.info.settings
    assert settings["dtype"] == "float32"
    assert settings["kv_cache_tokens"] >= engine.info.context_length
    assert engine.info.parameters > 0
