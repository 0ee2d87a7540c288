"""Sampling and steps on the embedded model."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from codeserve.engines.batching.scheduler import Chunk
from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.batching.stepper import Deltas, Stepper
from codeserve.engines.errors import EngineFailure, ModelLoadError
from codeserve.engines.llama_cpp import repairs
from codeserve.engines.llama_cpp.backend import LlamaCppBackend
from codeserve.engines.llama_cpp.batch import Batch
from codeserve.engines.llama_cpp.context import Context, Room
from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.llama_cpp.tuning import Tuning
from codeserve.engines.llama_cpp.weights import Weights
from codeserve.engines.types import (
    EngineConfig,
    EngineInfo,
    GenerationRequest,
    SamplingParams,
    TokenDelta,
)
from codeserve.model_specs.segments import Text
from codeserve.model_specs.spec import Variant

VARIANT = Variant(family="smollm2", name="test", context_length=8192, vocab_rows=49152)
Loaded = tuple[LlamaCppBackend, EngineInfo]
Load = Callable[..., Loaded]


@pytest.fixture(scope="module")
def load(smollm2_path: Path) -> Iterator[Load]:
    """Loads backends that are unloaded when the module ends."""
    with ExitStack() as resources:

        def load(variant: Variant = VARIANT, **changes: object) -> Loaded:
            values = {"engine": "llama.cpp", "path": str(smollm2_path), "variants": (variant,)}
            options = {"n_batch": 32, "tune": False}
            settings = {"context_length": 256, "max_concurrency": 2, "options": options}
            backend = LlamaCppBackend(EngineConfig(**(values | settings | changes)))  # type: ignore[arg-type]
            info = backend.load(lambda phase, fraction: None)
            resources.callback(backend.unload)
            return backend, info

        yield load


@pytest.fixture(scope="module")
def backend(load: Load) -> LlamaCppBackend:
    return load()[0]


def generate(
    backend: LlamaCppBackend, prompt: str, max_tokens: int = 16, **sampling: object
) -> list[int]:
    """The tokens of one request, alone."""
    ids = tuple(backend.tokenizer.encode([Text(prompt)]))
    params = SamplingParams(**({"temperature": 0.0} | sampling))  # type: ignore[arg-type]
    request = GenerationRequest(
        id="r", prompt_ids=ids, max_tokens=max_tokens, stop_ids=frozenset(), sampling=params
    )
    return run(backend, [request])[0]


def run(backend: LlamaCppBackend, requests: list[GenerationRequest]) -> list[list[int]]:
    """The tokens of requests that are submitted at once."""
    tokens: dict[str, list[int]] = {request.id: [] for request in requests}

    def deliver(deltas: Deltas) -> None:
        for sequence, delta in deltas:
            assert isinstance(delta, TokenDelta)
            tokens[sequence.request.id] += delta.token_ids

    stepper = Stepper(backend, backend.max_concurrency, deliver)
    for request in requests:
        stepper.submit(Sequence(request))
    stepper.step_once()
    while stepper.has_work:
        stepper.step_once()
    stepper.cache.make_room(backend.cells)
    return list(tokens.values())


def test_greedy_decoding_knows_what_comes_next(backend: LlamaCppBackend) -> None:
    tokens = generate(backend, "The capital of France is Paris. The capital of Italy is", 1)
    assert backend.tokenizer.decode(tokens) == " Rome"


def test_a_prompt_longer_than_a_step_is_the_same_prompt(
    load: Load,
) -> None:
    prompt = "The capital of France is Paris. The capital of Spain is Madrid. " * 4
    prompt += "The capital of Italy is"
    small, _ = load(options={"n_batch": 8, "tune": False})
    assert small.tokenizer.decode(generate(small, prompt, 1)) == " Rome"


def test_a_banned_token_is_not_chosen_and_a_forced_one_is(backend: LlamaCppBackend) -> None:
    free = generate(backend, "Once upon a", 1)
    banned = generate(backend, "Once upon a", 1, logit_bias={free[0]: -100.0})
    forced = generate(backend, "Once upon a", 4, logit_bias={1234: 100.0})
    assert banned != free
    assert forced == [1234] * 4


def test_padding_rows_are_not_sampled_whatever_the_request_says(
    load: Load,
) -> None:
    first = 300
    padded, _ = load(
        Variant(
            family="smollm2",
            name="padded",
            context_length=8192,
            vocab_rows=49152,
            padding_rows=(first, 49151),
        )
    )
    hot = generate(padded, "Once upon a", 200, temperature=100.0, seed=1)
    forced = generate(padded, "Once upon a", 20, logit_bias={5000: 100.0, 49151: 100.0})
    assert max(hot + forced) < first
    assert len(set(hot)) > 50


def test_a_sample_is_reproduced_by_its_seed(backend: LlamaCppBackend) -> None:
    draws = {
        seed: generate(backend, "Once upon a", 24, temperature=1.0, seed=seed)
        for seed in (0, 1, -1, 2**32 - 1, 2**63 - 1)
    }
    assert generate(backend, "Once upon a", 24, temperature=1.0, seed=1) == draws[1]
    assert generate(backend, "Once upon a", 24, temperature=1.0, seed=-1) == draws[-1]
    assert generate(backend, "Once upon a", 24, temperature=1.0, seed=2**32 - 1) == draws[2**32 - 1]
    assert draws[0] != draws[1]


def test_without_a_seed_draws_differ(backend: LlamaCppBackend) -> None:
    draws = [generate(backend, "Once upon a", 24, temperature=1.0) for _ in range(2)]
    assert draws[0] != draws[1]


@pytest.mark.parametrize("sampling", [{"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}])
def test_a_filter_that_leaves_one_token_is_greedy(
    backend: LlamaCppBackend, sampling: dict[str, float]
) -> None:
    greedy = generate(backend, "Once upon a", 12)
    assert generate(backend, "Once upon a", 12, temperature=2.0, seed=3, **sampling) == greedy


def test_a_temperature_next_to_zero_is_greedy(backend: LlamaCppBackend) -> None:
    greedy = generate(backend, "Once upon a", 12)
    assert generate(backend, "Once upon a", 12, temperature=1e-40, seed=3) == greedy


def test_repetition_penalty_counts_the_prompt_and_the_others_do_not(
    backend: LlamaCppBackend,
) -> None:
    prompt = "red red red red red red red red"
    (free,) = generate(backend, prompt, 1)
    assert backend.tokenizer.decode([free]) == " red"
    assert generate(backend, prompt, 1, repetition_penalty=1e6) != [free]
    assert generate(backend, prompt, 1, presence_penalty=2.0, frequency_penalty=2.0) == [free]


def test_presence_penalty_counts_what_was_generated(backend: LlamaCppBackend) -> None:
    tokens = generate(backend, "red red red red", 24, presence_penalty=1e6)
    assert len(set(tokens)) == 24


def test_two_sequences_in_one_step_do_not_mix(backend: LlamaCppBackend) -> None:
    requests = []
    for country in ("Italy", "Germany"):
        prompt = f"The capital of France is Paris. The capital of {country} is"
        requests.append(
            GenerationRequest(
                id=country,
                prompt_ids=tuple(backend.tokenizer.encode([Text(prompt)])),
                max_tokens=1,
                stop_ids=frozenset(),
                sampling=SamplingParams(temperature=0.0),
            )
        )
    answers = [backend.tokenizer.decode(tokens) for tokens in run(backend, requests)]
    assert answers == [" Rome", " Berlin"]


def test_a_full_cache_is_an_engine_failure(smollm2_path: Path, log: LlamaLog) -> None:
    options = LlamaCppOptions.of({"n_batch": 200})
    options = options.settled(Tuning.static(options))
    nothing = repairs.overrides(())
    with (
        closing(Weights.load(smollm2_path, options, nothing, lambda _: None, log)) as weights,
        closing(Context(weights, Room(256, 1, unified=True), options, log)) as context,
    ):
        batch = Batch(200)
        request = GenerationRequest(
            id="r", prompt_ids=(5,) * 400, max_tokens=1, stop_ids=frozenset()
        )
        batch.fill([Chunk(Sequence(request), 0, 0, [5] * 200, False)])
        context.decode(batch)
        batch.fill([Chunk(Sequence(request), 0, 200, [5] * 200, False)])
        with pytest.raises(EngineFailure, match="the KV cache is full"):
            context.decode(batch)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_length": 10_000}, "context_length is 10000, .* trained for 8192 tokens"),
        ({"max_concurrency": 64}, "max_concurrency is 64, .* at most 32 requests .*n_batch=32"),
        (
            {"options": {"type_v": "q8_0", "flash_attn": "off", "tune": False}},
            "No context of 768 tokens",
        ),
        ({"path": "nowhere.gguf"}, "nowhere.gguf does not exist"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_line(
    load: Load, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelLoadError, match=message) as caught:
        load(**changes)
    assert "\n" not in caught.value.message


def test_a_vocabulary_that_is_required_and_not_there_is_named(
    load: Load,
) -> None:
    other = Variant(family="deepseek-coder", name="v1", context_length=16384, vocab_rows=32256)
    with pytest.raises(ModelLoadError, match=r"49152 tokens.*deepseek-coder \(v1\)"):
        load(other, variant_required=True)


def test_weights_that_are_no_known_variant_speak_for_themselves(
    load: Load,
) -> None:
    other = Variant(family="deepseek-coder", name="v1", context_length=16384, vocab_rows=32256)
    _, info = load(other, context_length=None, max_concurrency=1)
    assert (info.variant.name, info.trained_context_length) == ("weights", 8192)
    assert info.context_length == 8192


def test_repairs_are_reported(load: Load) -> None:
    variant = Variant(
        family="smollm2",
        name="test",
        context_length=8192,
        vocab_rows=49152,
        gguf_default={"llama.rope.scaling.type": "linear"},
    )
    _, info = load(variant)
    assert info.repairs == ('llama.rope.scaling.type was missing; set to "linear"',)
