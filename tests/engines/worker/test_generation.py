from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from codeserve.engines import registry
from codeserve.engines.base import Engine
from codeserve.engines.errors import ContextLengthExceeded, InvalidRequest
from codeserve.engines.types import (
    EngineConfig,
    FinishReason,
    SamplingParams,
    TextDelta,
    TextRequest,
    Usage,
)
from codeserve.engines.worker.generation import Generation
from codeserve.model_specs.segments import Content, Control

SCRIPT = "one two three "

Ask = Callable[..., TextRequest]


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = registry.create(
        EngineConfig(engine="fake", path="/nowhere", context_length=32, options={"script": SCRIPT})
    )
    await engine.start(lambda phase, fraction: None)
    yield engine
    await engine.stop()


async def all_of(engine: Engine, request: TextRequest) -> tuple[str, TextDelta]:
    """The whole text and the last delta."""
    generation = await Generation.start(engine, request)
    deltas = [delta async for delta in generation.deltas()]
    return "".join(delta.text for delta in deltas), deltas[-1]


async def test_max_tokens_ends_with_length_and_the_usage(engine: Engine, ask: Ask) -> None:
    text, last = await all_of(engine, ask("hello", max_tokens=7))
    assert text == "one two"
    assert last.finish_reason is FinishReason.LENGTH
    assert last.usage == Usage(prompt_tokens=5, cached_tokens=0, completion_tokens=7)


async def test_the_first_delta_says_how_long_it_waited_and_what_was_cached(
    engine: Engine, ask: Ask
) -> None:
    await all_of(engine, ask("a long hello", max_tokens=1))
    generation = await Generation.start(engine, ask("a long hello", max_tokens=3))
    first, *others = [delta async for delta in generation.deltas()]
    assert first.queued_seconds is not None
    assert first.cached_tokens == 11
    assert {(delta.queued_seconds, delta.cached_tokens) for delta in others} == {(None, None)}


@pytest.mark.parametrize("max_tokens", [None, 28, 1000])
async def test_a_generation_never_leaves_the_context(
    engine: Engine, ask: Ask, max_tokens: int | None
) -> None:
    _, last = await all_of(engine, ask("hello", max_tokens=max_tokens))
    assert last.finish_reason is FinishReason.LENGTH
    assert last.usage == Usage(prompt_tokens=5, cached_tokens=0, completion_tokens=27)


@pytest.mark.parametrize("length", [32, 33])
async def test_a_prompt_that_fills_the_context_is_refused_with_both_numbers(
    engine: Engine, ask: Ask, length: int
) -> None:
    with pytest.raises(ContextLengthExceeded, match=f"length is 32 .* in {length} tokens"):
        await Generation.start(engine, ask("x" * length))


async def test_a_prompt_that_is_too_long_is_named_as_the_client_named_it(
    engine: Engine, ask: Ask
) -> None:
    with pytest.raises(ContextLengthExceeded) as refusal:
        await Generation.start(
            engine, msgspec.structs.replace(ask("x" * 40), prompt_name="messages")
        )
    assert refusal.value.param == "messages"
    assert refusal.value.message == (
        "This model's maximum context length is 32 tokens. However, your messages resulted in 40 "
        "tokens. Please reduce the length of the messages."
    )


async def test_a_prompt_that_leaves_room_for_one_token_gets_one(engine: Engine, ask: Ask) -> None:
    text, _ = await all_of(engine, ask("x" * 31))
    assert text == "o"


async def test_an_empty_prompt_is_refused(engine: Engine, ask: Ask) -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        await Generation.start(engine, ask(""))


async def test_a_prompt_of_one_control_token_is_not_empty(engine: Engine) -> None:
    text, _ = await all_of(engine, TextRequest(id="1", prompt=(Control("<bos>"),), max_tokens=3))
    assert text == "one"


async def test_no_tokens_to_generate_is_refused(engine: Engine, ask: Ask) -> None:
    with pytest.raises(InvalidRequest, match="max_tokens must be at least 1"):
        await Generation.start(engine, ask(max_tokens=0))


async def test_a_stop_string_ends_the_text_before_it(engine: Engine, ask: Ask) -> None:
    text, last = await all_of(engine, ask(stop=("two t", "three")))
    assert text == "one "
    assert last.finish_reason is FinishReason.STOP
    assert last.stop_reason == "two t"


async def test_the_slot_is_free_when_a_stop_string_has_ended_the_text(
    engine: Engine, ask: Ask
) -> None:
    await all_of(engine, ask(stop=("two",)))
    assert engine.load.waiting == 0


async def test_text_held_back_for_a_stop_string_is_not_lost(engine: Engine, ask: Ask) -> None:
    text, last = await all_of(engine, ask(max_tokens=7, stop=("two four",)))
    assert text == "one two"
    assert last.finish_reason is FinishReason.LENGTH
    assert last.stop_reason is None


async def test_an_empty_stop_string_is_refused(engine: Engine, ask: Ask) -> None:
    with pytest.raises(InvalidRequest, match="stop string"):
        await Generation.start(engine, ask(stop=("",)))


async def test_a_stop_id_that_is_text_is_not_shown_unless_asked_for(
    engine: Engine, ask: Ask
) -> None:
    text, last = await all_of(engine, ask(stop_ids=(ord("t"),)))
    assert (text, last.stop_reason) == ("one ", ord("t"))
    text, last = await all_of(engine, ask(stop_ids=(ord("t"),), include_stop=True))
    assert (text, last.stop_reason) == ("one t", ord("t"))


async def test_a_stop_string_is_shown_if_asked_for(engine: Engine, ask: Ask) -> None:
    text, last = await all_of(engine, ask(stop=("two",), include_stop=True))
    assert (text, last.stop_reason) == ("one two", "two")


async def test_the_end_of_the_model_is_ignored_if_asked_for(engine: Engine, ask: Ask) -> None:
    only_the_end = SamplingParams(allowed_ids=(257,))
    text, last = await all_of(engine, ask(max_tokens=5, sampling=only_the_end))
    assert (text, last.finish_reason, last.stop_reason) == ("", FinishReason.STOP, 257)
    text, last = await all_of(engine, ask(max_tokens=5, ignore_eos=True))
    assert (text, last.finish_reason) == ("one t", FinishReason.LENGTH)


async def test_control_tokens_are_shown_if_asked_for(engine: Engine, ask: Ask) -> None:
    sampling = SamplingParams(allowed_ids=(256,))
    request = ask(max_tokens=2, ignore_eos=True, sampling=sampling)
    text, _ = await all_of(engine, request)
    assert text == ""
    text, _ = await all_of(engine, msgspec.structs.replace(request, show_control=True))
    assert text == "<bos><bos>"


@pytest.mark.parametrize(
    ("most", "expected"), [(None, 7), (7, 7), (3, 3), (1, 1)], ids=["all", "as many", "3", "1"]
)
async def test_a_truncated_prompt_keeps_its_bos_and_its_end(
    engine: Engine, most: int | None, expected: int
) -> None:
    prompt = (Control("<bos>"), Content("abcdef"))
    request = TextRequest(
        id="1", prompt=prompt, max_tokens=1, truncate_prompt_tokens=most, show_prompt=True
    )
    generation = await Generation.start(engine, request)
    (delta,) = [delta async for delta in generation.deltas()]
    assert delta.prompt is not None
    ids = delta.prompt.token_ids
    assert len(ids) == generation.prompt_tokens == expected
    assert ids == (256, *b"abcdef"[7 - expected :])


async def test_the_first_delta_reports_on_the_prompt(engine: Engine) -> None:
    prompt = (Control("<bos>"), Content("né"), Control("<eos>"))
    request = TextRequest(id="1", prompt=prompt, max_tokens=3, show_prompt=True, prompt_logprobs=1)
    generation = await Generation.start(engine, request)
    first, *rest = [delta async for delta in generation.deltas()]
    report = first.prompt
    assert report is not None
    assert report.token_ids == (256, *"né".encode(), 257)
    assert report.text == "né<eos>"
    assert report.spellings == (b"<bos>", b"n", b"\xc3", b"\xa9", b"<eos>")
    assert report.logprobs[0] is None
    following = report.logprobs[1:]
    assert [token.chosen.token_id for token in following if token] == [*report.token_ids[1:]]
    assert all(token is not None and len(token.top) == 1 for token in following)
    assert all(delta.prompt is None for delta in rest)


async def test_tokens_are_scored_once_each_with_their_text(engine: Engine, ask: Ask) -> None:
    generation = await Generation.start(engine, ask(max_tokens=7, stop=("two t",), logprobs=2))
    deltas = [delta async for delta in generation.deltas()]
    text = "".join(delta.text for delta in deltas)
    logprobs = [token for delta in deltas for token in delta.logprobs]
    assert text.encode() == b"".join(token.chosen.spelling for token in logprobs) == b"one two"
    assert all(len(token.top) == 2 for token in logprobs)


async def test_no_token_after_a_stop_string_is_scored(engine: Engine, ask: Ask) -> None:
    generation = await Generation.start(engine, ask(stop=("e two",), logprobs=0))
    logprobs = [token async for delta in generation.deltas() for token in delta.logprobs]
    assert [token.chosen.spelling for token in logprobs] == [b"o", b"n"]


async def test_a_stop_id_is_scored_last_and_is_no_text(engine: Engine, ask: Ask) -> None:
    generation = await Generation.start(engine, ask(stop_ids=(ord("t"),), logprobs=0))
    logprobs = [token async for delta in generation.deltas() for token in delta.logprobs]
    assert [token.chosen.is_text for token in logprobs] == [True] * 4 + [False]


async def test_a_line_that_is_indented_less_ends_the_generation(ask: Ask) -> None:
    options = {"script": "a\n  b\nc"}
    engine = registry.create(EngineConfig(engine="fake", path="/nowhere", options=options))
    await engine.start(lambda phase, fraction: None)
    text, last = await all_of(engine, ask(least_indent=2))
    assert (text, last.finish_reason) == ("a\n  b\n", FinishReason.LENGTH)
    text, last = await all_of(engine, ask(line_seconds=0.0))
    assert (text, last.finish_reason) == ("a\n", FinishReason.LENGTH)
    await engine.stop()
