"""The scheduler, the prefix cache and drafting together, on a model whose output tells on them."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from codeserve.engines.batching.block_store import BLOCK_TOKENS
from codeserve.engines.batching.drafting import NgramDrafter
from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.batching.settings import BatchingSettings
from codeserve.engines.batching.stepper import Deltas, Stepper
from codeserve.engines.types import GenerationRequest, TokenDelta
from tests.engines.batching.reference_backend import VOCAB, ReferenceBackend, continuation

CONTEXT = 200
NEVER = 10**9


def sharing(**changes: object) -> BatchingSettings:
    plain = BatchingSettings(batch_tokens=64, sampled_rows=64, host_bytes=100_000)
    return replace(plain, **changes)  # type: ignore[arg-type]


def a_sequence(prompt: list[int], max_tokens: int, id: str) -> Sequence:
    return Sequence(
        GenerationRequest(
            id=id, prompt_ids=tuple(prompt), max_tokens=max_tokens, stop_ids=frozenset()
        )
    )


class Bench:
    """A stepper on the reference model, driven by hand."""

    def __init__(self, backend: ReferenceBackend, concurrency: int) -> None:
        self.backend = backend
        self.received: dict[Sequence, list[int]] = {}
        self.cached: dict[Sequence, int] = {}
        self.finished: set[Sequence] = set()
        self.stepper = Stepper(backend, concurrency, self._deliver)  # type: ignore[arg-type]
        self._ids = count()
        self._nobody = a_sequence([0], 1, "nobody")

    def submit(self, prompt: list[int], max_tokens: int = 4) -> Sequence:
        sequence = a_sequence(prompt, max_tokens, str(next(self._ids)))
        self.received[sequence] = []
        self.stepper.submit(sequence)
        return sequence

    def step(self) -> None:
        """Obey what waits and compute one step, as the engine's thread does."""
        self.stepper.abort(self._nobody)
        self.stepper.step_once()

    def finish(self) -> None:
        while self.stepper.has_work:
            self.step()

    def answer(self, prompt: list[int], max_tokens: int = 4) -> tuple[list[int], int]:
        """The tokens of one request alone, and how many of its prompt were cached."""
        sequence = self.submit(prompt, max_tokens)
        self.step()
        self.finish()
        return self.received[sequence], self.cached[sequence]

    def _deliver(self, deltas: Deltas) -> None:
        for sequence, delta in deltas:
            assert isinstance(delta, TokenDelta)
            if not self.received[sequence]:
                self.cached[sequence] = delta.cached_tokens
            self.received[sequence] += delta.token_ids
            if delta.finish_reason is not None:
                self.finished.add(sequence)


def a_bench(concurrency: int = 4, slots: int = 40, **changes: object) -> Bench:
    drafter = NgramDrafter() if changes.pop("draft", False) else None
    repeat_from = changes.pop("repeat_from", None)
    backend = ReferenceBackend(
        concurrency * CONTEXT,
        slots,
        settings=sharing(**changes),
        drafter=drafter,
        repeat_from=repeat_from,  # type: ignore[arg-type]
    )
    return Bench(backend, concurrency)


def a_prompt(length: int, seed: int = 0) -> list[int]:
    return [(seed + i * i + i // 7) % VOCAB for i in range(length)]


class AnyWorkload(RuleBasedStateMachine):
    """Random arrivals, cancellations and steps: every output is that of the model alone, no cell
    and no slot leaks, and everything ends."""

    @initialize(
        concurrency=st.integers(1, 4),
        spare_slots=st.integers(0, 6),
        batch=st.integers(8, 64),
        host_bytes=st.sampled_from([0, 500, 100_000]),
        idle_rows=st.sampled_from([None, 0, 30]),
        draft=st.booleans(),
        can_share=st.booleans(),
        repeat_from=st.sampled_from([None, 5]),
    )
    def start(
        self,
        concurrency: int,
        spare_slots: int,
        batch: int,
        host_bytes: int,
        idle_rows: int | None,
        draft: bool,
        can_share: bool,
        repeat_from: int | None,
    ) -> None:
        self.repeat_from = repeat_from
        self.backend = ReferenceBackend(
            concurrency * CONTEXT,
            2 * concurrency + 2 + spare_slots,
            settings=BatchingSettings(
                batch_tokens=batch,
                sampled_rows=concurrency + 8,
                host_bytes=host_bytes,
                idle_rows=idle_rows,
                step_seconds=((1, 1.0), (2, 1.1), (8, 1.5), (64, 6.0)),
            ),
            drafter=NgramDrafter() if draft and can_share else None,
            can_share=can_share,
            repeat_from=repeat_from,
        )
        self.bench = Bench(self.backend, concurrency)
        self.alive: list[Sequence] = []

    @rule(
        family=st.integers(0, 2),
        shared=st.integers(0, 150),
        tail=st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=20),
        max_tokens=st.integers(1, 25),
    )
    def arrive(self, family: int, shared: int, tail: list[int], max_tokens: int) -> None:
        prompt = a_prompt(shared, family) + tail
        self.alive.append(self.bench.submit(prompt, max_tokens))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        sequence = self.alive.pop(data.draw(st.integers(0, len(self.alive) - 1)))
        self.bench.stepper.abort(sequence)

    @precondition(lambda self: self.alive)
    @rule(steps=st.integers(1, 10))
    def steps(self, steps: int) -> None:
        for _ in range(steps):
            if self.alive:
                self.bench.step()
                self.check_finished()

    def check_finished(self) -> None:
        for sequence in [s for s in self.alive if s in self.bench.finished]:
            self.alive.remove(sequence)
            request = sequence.request
            assert self.bench.received[sequence] == continuation(
                request.prompt_ids, request.max_tokens, self.repeat_from
            )

    @invariant()
    def the_cache_counts_right(self) -> None:
        if hasattr(self, "bench"):
            cache = self.bench.stepper.cache
            assert cache.cells_used == self.backend.cells_used <= self.backend.cells
            assert cache.cells_running == self.backend.cells_open

    def teardown(self) -> None:
        if not hasattr(self, "bench"):
            return
        bound = self.backend.steps + sum(
            len(s.token_ids) + s.request.max_tokens for s in self.alive
        )
        self.bench.step()
        while self.bench.stepper.has_work:
            self.bench.step()
            assert self.backend.steps <= bound, "something starves"
        self.check_finished()
        assert self.alive == []
        cache = self.bench.stepper.cache
        assert self.backend.slots_open == 0
        assert cache.idle_tokens == cache.cells_used == self.backend.cells_used
        assert cache.slots_used == self.backend.slots_used
        cache.make_room(self.backend.cells)
        assert (cache.cells_used, self.backend.cells_used, cache.slots_used) == (0, 0, 0)


TestAnyWorkload = AnyWorkload.TestCase
TestAnyWorkload.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_a_repeated_prompt_is_computed_once() -> None:
    bench = a_bench()
    prompt = a_prompt(100)
    cold, none_cached = bench.answer(prompt)
    computed = bench.backend.computed_tokens
    warm, cached = bench.answer(prompt)
    assert warm == cold == continuation(prompt, 4)
    assert (none_cached, cached) == (0, 99)
    assert bench.backend.computed_tokens - computed == 1 + 3


def test_a_prompt_that_goes_on_from_an_answer_finds_the_answer_cached() -> None:
    bench = a_bench()
    prompt = a_prompt(30)
    answer, _ = bench.answer(prompt, 10)
    _, cached = bench.answer([*prompt, *answer, 1, 2])
    assert cached == 30 + 9


def test_keystrokes_compute_only_what_changed() -> None:
    bench = a_bench()
    prompt = a_prompt(150)
    bench.answer(prompt)
    for typed in range(10):
        prompt = [*prompt[:-1], typed % VOCAB, 5]
        before = bench.backend.computed_tokens
        bench.answer(prompt, 1)
        assert bench.backend.computed_tokens - before <= 3


def test_what_a_cancelled_request_has_computed_stays() -> None:
    bench = a_bench(batch_tokens=16)
    prompt = a_prompt(100)
    cancelled = bench.submit(prompt)
    for _ in range(3):
        bench.step()
    bench.stepper.abort(cancelled)
    _, cached = bench.answer(prompt)
    assert cached == 48
    assert bench.received[cancelled] == []


def test_requests_at_once_compute_their_common_prefix_once() -> None:
    bench = a_bench(concurrency=8)
    prefix = a_prompt(120)
    sequences = [bench.submit([*prefix, n, 0]) for n in range(6)]
    bench.step()
    bench.finish()
    assert bench.backend.computed_tokens == 120 + 6 * 2 + 6 * 3
    assert [bench.cached[s] for s in sequences] == [0] + [120] * 5
    assert all(bench.received[s] == continuation(s.request.prompt_ids, 4) for s in sequences)


def test_a_follower_goes_on_alone_when_its_leader_is_cancelled() -> None:
    bench = a_bench(batch_tokens=16)
    leader = bench.submit(a_prompt(100))
    follower = bench.submit(a_prompt(101))
    for _ in range(2):
        bench.step()
    bench.stepper.abort(leader)
    bench.step()
    bench.finish()
    assert bench.received[follower] == continuation(a_prompt(101), 4)
    assert bench.cached[follower] == 32


def test_a_running_sequence_shares_what_it_has_with_a_new_one() -> None:
    bench = a_bench()
    running = bench.submit(a_prompt(90), max_tokens=100)
    for _ in range(20):
        bench.step()
    before = bench.backend.computed_tokens
    late = bench.submit([*a_prompt(90), 1], 1)
    bench.step()
    assert late in bench.finished
    assert bench.cached[late] == 90
    assert bench.backend.computed_tokens - before == 1 + 1
    bench.finish()
    assert bench.received[running] == continuation(a_prompt(90), 100)


def test_an_evicted_prefix_comes_back_from_host_memory() -> None:
    bench = a_bench(concurrency=1)
    prompt = a_prompt(150)
    bench.answer(prompt)
    bench.answer(a_prompt(190, seed=3))
    _, cached = bench.answer(prompt)
    assert cached == 150 // BLOCK_TOKENS * BLOCK_TOKENS


def test_without_host_memory_an_evicted_prefix_is_computed_again() -> None:
    bench = a_bench(concurrency=1, host_bytes=0)
    prompt = a_prompt(150)
    bench.answer(prompt)
    bench.answer(a_prompt(190, seed=3))
    answer, cached = bench.answer(prompt)
    assert cached < BLOCK_TOKENS
    assert answer == continuation(prompt, 4)


def test_the_least_recently_used_prefix_is_evicted_first() -> None:
    bench = a_bench(concurrency=2, host_bytes=0)
    for seed in (0, 1, 0, 2):
        bench.answer(a_prompt(150, seed))
    _, kept = bench.answer(a_prompt(150, 0), 1)
    _, evicted = bench.answer(a_prompt(150, 1), 1)
    assert kept == 149
    assert evicted < 149


def test_an_idle_prefix_leaves_the_cells_to_those_that_run() -> None:
    bench = a_bench(idle_rows=50)
    bench.answer(a_prompt(150))
    busy = bench.submit(a_prompt(100, seed=1), max_tokens=80)
    while busy not in bench.finished:
        bench.step()
    assert bench.backend.cells_used < 150 + 100
    _, cached = bench.answer(a_prompt(150))
    assert cached == 128


@pytest.mark.parametrize("draft", [False, True])
def test_drafting_changes_the_number_of_steps_and_nothing_else(draft: bool) -> None:
    curve = ((1, 1.0), (16, 1.2))
    bench = a_bench(draft=draft, repeat_from=7, step_seconds=curve)
    prompt = a_prompt(60)
    answer, _ = bench.answer(prompt, 100)
    assert answer == continuation(prompt, 100, 7)
    assert (bench.backend.steps < 40) == draft


def test_drafting_stays_off_where_it_never_pays() -> None:
    bench = a_bench(draft=True, step_seconds=((1, 1.0), (2, 2.0), (16, 16.0)))
    bench.answer(a_prompt(60), 100)
    plain = 60 + 99
    assert bench.backend.computed_tokens <= plain * 1.1


@given(lengths=st.lists(st.integers(1, 150), min_size=2, max_size=12))
def test_short_prompts_overtake_and_long_ones_do_not_starve(lengths: list[int]) -> None:
    bench = a_bench(concurrency=2, batch_tokens=16, host_bytes=0)
    sequences = [bench.submit(a_prompt(n, seed=i % 3), 1) for i, n in enumerate(lengths)]
    bench.step()
    bench.finish()
    assert bench.finished == set(sequences)


def test_a_short_request_gets_in_ahead_of_a_long_prefill() -> None:
    bench = a_bench(batch_tokens=16)
    long = bench.submit(a_prompt(190), 1)
    bench.step()
    short = bench.submit(a_prompt(10, seed=4), 1)
    bench.step()
    assert short in bench.finished
    assert long not in bench.finished


def test_a_long_prompt_is_not_overtaken_for_ever() -> None:
    bench = a_bench(concurrency=2, batch_tokens=16)
    long = bench.submit(a_prompt(190), 1)
    for n in range(60):
        bench.submit([n % VOCAB, n // VOCAB % VOCAB, n // VOCAB**2, *a_prompt(13, n)], 1)
        bench.step()
        if long in bench.finished:
            break
    assert long in bench.finished


def test_stopping_makes_run_return() -> None:
    bench = a_bench()
    bench.submit(a_prompt(10))
    bench.stepper.stop()
    bench.stepper.run()


StartBench = Callable[[], Bench]


def test_a_restarted_server_finds_on_disk_what_was_evicted_or_kept(tmp_path: object) -> None:
    def start() -> Bench:
        return a_bench(concurrency=1, host_bytes=0, disk_folder=tmp_path, disk_bytes=NEVER)

    first = start()
    first.answer(a_prompt(150, seed=1))
    first.answer(a_prompt(190, seed=2))
    first.stepper.stop()
    first.stepper.run()

    second = start()
    answer, cached = second.answer(a_prompt(150, seed=1))
    assert (answer, cached) == (continuation(a_prompt(150, seed=1), 4), 128)
    assert second.answer(a_prompt(190, seed=2))[1] == 128
