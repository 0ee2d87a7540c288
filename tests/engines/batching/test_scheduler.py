import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from codeserve.engines.batching.outcome import Outcome
from codeserve.engines.batching.scheduler import SECONDS_BESIDE_STREAMS, Chunk, Scheduler
from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.batching.step_costs import StepCosts
from codeserve.engines.types import FinishReason, GenerationRequest

EOS = 9


def a_sequence(prompt: int, max_tokens: int = 1, first: int = 0) -> Sequence:
    ids = tuple(range(first, first + prompt))
    request = GenerationRequest(
        id="r", prompt_ids=ids, max_tokens=max_tokens, stop_ids=frozenset({EOS})
    )
    return Sequence(request)


def a_scheduler(slots: int, step_tokens: int, chunk_tokens: int | None = None) -> Scheduler:
    return Scheduler(slots, step_tokens, StepCosts(), chunk_tokens)


def admit(scheduler: Scheduler) -> list[Sequence]:
    """Fill the free slots, without a cache."""
    admitted = []
    while (sequence := scheduler.next_admitted()) is not None:
        sequence.slot = id(sequence)
        admitted.append(sequence)
    return admitted


def apply(scheduler: Scheduler, chunks: list[Chunk], token: int = 1) -> list[Sequence]:
    outcomes = [Outcome([token]) if chunk.samples else Outcome() for chunk in chunks]
    grown = scheduler.apply(chunks, outcomes)
    for sequence, _ in grown:
        if sequence.finish_reason is not None:
            scheduler.remove(sequence)
    return [sequence for sequence, _ in grown]


def step(scheduler: Scheduler, token: int = 1) -> list[Sequence]:
    """Compute one step and remove what it finishes."""
    admit(scheduler)
    return apply(scheduler, scheduler.plan({}), token)


class AnyWorkload(RuleBasedStateMachine):
    """Random arrivals, steps and cancellations keep every promise of the scheduler."""

    @initialize(slots=st.integers(1, 5), spare=st.integers(0, 20))
    def start(self, slots: int, spare: int) -> None:
        self.slots, self.step_tokens = slots, slots + spare
        self.scheduler = a_scheduler(slots, self.step_tokens)
        self.alive: list[Sequence] = []

    @rule(prompt=st.integers(1, 50), max_tokens=st.integers(1, 8))
    def arrive(self, prompt: int, max_tokens: int) -> None:
        sequence = a_sequence(prompt, max_tokens)
        self.scheduler.add(sequence, prompt)
        self.alive.append(sequence)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        sequence = self.alive.pop(data.draw(st.integers(0, len(self.alive) - 1)))
        assert self.scheduler.remove(sequence) == (sequence.slot is not None)

    @rule(token=st.sampled_from([1, EOS]))
    def step(self, token: int) -> None:
        admit(self.scheduler)
        decoding = [s for s in self.alive if s.is_decoding]
        prefilling = self.scheduler.prefilling
        chunks = self.scheduler.plan({})

        assert sum(len(chunk.token_ids) for chunk in chunks) <= self.step_tokens
        planned = [chunk.sequence for chunk in chunks]
        assert len(set(planned)) == len(planned)
        assert all(s in planned for s in decoding), "a decoding sequence missed a step"
        if prefilling and len(decoding) < self.step_tokens:
            assert prefilling[0] in planned, "the prompt that is due first made no progress"
        for chunk in chunks:
            end = chunk.start + len(chunk.token_ids)
            assert chunk.start == chunk.sequence.computed
            assert chunk.token_ids == chunk.sequence.token_ids[chunk.start : end]

        apply(self.scheduler, chunks, token)
        self.alive = [s for s in self.alive if s.finish_reason is None]

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        running = [s for s in self.alive if s.slot is not None]
        assert self.scheduler.running == len(running) <= self.slots
        assert self.scheduler.running + self.scheduler.waiting == len(self.alive)

    def teardown(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        for _ in range(sum(50 + 8 for _ in self.alive)):
            self.step(1)
        assert self.alive == []
        assert self.scheduler.running == self.scheduler.waiting == 0


TestAnyWorkload = AnyWorkload.TestCase


def test_decoding_goes_on_beside_a_long_prompt() -> None:
    scheduler = a_scheduler(slots=2, step_tokens=4)
    stream = a_sequence(1, max_tokens=100)
    scheduler.add(stream, 1)
    step(scheduler)
    scheduler.add(a_sequence(9), 9)

    admit(scheduler)
    assert [len(chunk.token_ids) for chunk in scheduler.plan({})] == [1, 3]
    assert [step(scheduler) == [stream] for _ in range(2)] == [True, True]
    assert len(step(scheduler)) == 2


def test_a_prompt_in_chunks_samples_only_after_its_last_token() -> None:
    scheduler = a_scheduler(slots=1, step_tokens=4)
    scheduler.add(a_sequence(9), 9)
    assert [len(step(scheduler)) for _ in range(3)] == [0, 0, 1]


@given(prompts=st.lists(st.integers(1, 30), min_size=1, max_size=10))
def test_one_slot_goes_to_the_prompt_that_needs_least(prompts: list[int]) -> None:
    scheduler = a_scheduler(slots=1, step_tokens=7)
    for prompt in prompts:
        scheduler.add(a_sequence(prompt), prompt)

    answered: list[Sequence] = []
    while scheduler.running or scheduler.waiting:
        answered += step(scheduler)
    assert [len(s.request.prompt_ids) for s in answered] == sorted(prompts)


@given(needed=st.integers(1, 60), later=st.lists(st.integers(1, 10), max_size=60))
def test_nothing_overtakes_that_comes_after_as_many_tokens_as_a_prompt_needs(
    needed: int, later: list[int]
) -> None:
    scheduler = a_scheduler(slots=1, step_tokens=8)
    long, running = a_sequence(needed), a_sequence(1)
    scheduler.add(running, 1)
    step(scheduler)
    scheduler.add(long, needed)
    came_after: dict[Sequence, int] = {}
    computed = 0
    while not long.is_decoding:
        if later:
            short = a_sequence(later.pop())
            came_after[short] = computed
            scheduler.add(short, short.pending)
        admit(scheduler)
        chunks = scheduler.plan({})
        if long.slot is None:
            assert all(came_after[chunk.sequence] < needed for chunk in chunks)
        apply(scheduler, chunks)
        computed += sum(len(chunk.token_ids) for chunk in chunks)


def test_a_sequence_waits_for_one_that_computes_the_same_prompt() -> None:
    scheduler = a_scheduler(slots=3, step_tokens=50)
    leader, follower, other = a_sequence(90), a_sequence(95), a_sequence(99, first=7)
    for sequence in (leader, follower, other):
        scheduler.add(sequence, sequence.pending)
    for sequence in admit(scheduler):
        scheduler.follow(sequence)
    assert scheduler.prefilling == [leader, other]

    apply(scheduler, scheduler.plan({}))
    assert scheduler.caught_up() == []
    apply(scheduler, scheduler.plan({}))
    assert scheduler.caught_up() == [follower]
    assert follower in scheduler.prefilling


def test_a_few_common_tokens_are_not_worth_waiting_for() -> None:
    scheduler = a_scheduler(slots=2, step_tokens=50)
    scheduler.add(a_sequence(10), 10)
    scheduler.add(a_sequence(12), 12)
    for sequence in admit(scheduler):
        scheduler.follow(sequence)
    assert len(scheduler.prefilling) == 2


def test_a_step_beside_streams_takes_no_longer_than_its_limit() -> None:
    costs = StepCosts([(1, 0.01), (256, 2.56)])
    scheduler = Scheduler(2, 256, costs)
    stream = a_sequence(1, max_tokens=100)
    scheduler.add(stream, 1)
    step(scheduler)
    scheduler.add(a_sequence(1000, first=50), 1000)
    admit(scheduler)
    tokens = sum(len(chunk.token_ids) for chunk in scheduler.plan({}))
    assert tokens > 8
    assert costs.seconds(tokens) <= max(SECONDS_BESIDE_STREAMS, costs.seconds(17))


def test_prompts_in_chunks_of_fixed_size_are_cut_the_same_whatever_else_runs() -> None:
    scheduler = a_scheduler(slots=3, step_tokens=16, chunk_tokens=8)
    for first in (0, 50):
        scheduler.add(a_sequence(20, first=first), 20)
    admit(scheduler)
    sizes = []
    while scheduler.running:
        chunks = scheduler.plan({})
        sizes += [len(chunk.token_ids) for chunk in chunks]
        apply(scheduler, chunks)
    assert sizes == [8, 8, 8, 8, 4, 4]


def test_right_drafts_and_the_token_after_them_are_taken_and_wrong_ones_not() -> None:
    scheduler = a_scheduler(slots=1, step_tokens=8)
    sequence = a_sequence(3, max_tokens=10)
    scheduler.add(sequence, 3)
    step(scheduler)
    (chunk,) = scheduler.plan({sequence: [5, 6, 7]})
    assert (chunk.token_ids, chunk.drafts) == ([1, 5, 6, 7], 3)

    scheduler.apply([chunk], [Outcome([5, 6, 8])])
    assert sequence.token_ids == [0, 1, 2, 1, 5, 6, 8]
    assert sequence.pending == 1


def test_tokens_after_the_end_are_dropped_with_their_drafts() -> None:
    scheduler = a_scheduler(slots=1, step_tokens=8)
    sequence = a_sequence(3, max_tokens=10)
    scheduler.add(sequence, 3)
    step(scheduler)
    chunks = scheduler.plan({sequence: [5, EOS, 7]})
    ((_, delta),) = scheduler.apply(chunks, [Outcome([5, EOS, 7, 8])])
    assert delta.token_ids == (5, EOS)
    assert sequence.finish_reason is FinishReason.STOP
    assert sequence.computed == len(sequence.token_ids)


def test_a_stop_id_ends_a_sequence_and_wins_over_the_length() -> None:
    scheduler = a_scheduler(slots=1, step_tokens=8)
    stopped, cut = a_sequence(2, max_tokens=1), a_sequence(2, max_tokens=2)
    scheduler.add(stopped, 2)
    scheduler.add(cut, 2)

    step(scheduler, token=EOS)
    step(scheduler)
    assert (stopped.finish_reason, cut.finish_reason) == (FinishReason.STOP, None)
    step(scheduler)
    assert (cut.finish_reason, cut.token_ids) == (FinishReason.LENGTH, [0, 1, 1, 1])


def test_fewer_tokens_a_step_than_slots_is_an_error() -> None:
    with pytest.raises(ValueError, match="4 slots need steps of at least that many tokens, 3"):
        a_scheduler(slots=4, step_tokens=3)
