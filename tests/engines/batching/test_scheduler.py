import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from codeserve.engines.batching.scheduler import Scheduler
from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.types import FinishReason, GenerationRequest

EOS = 9


def a_sequence(prompt: int, max_tokens: int = 1) -> Sequence:
    request = GenerationRequest(
        id="r", prompt_ids=tuple(range(prompt)), max_tokens=max_tokens, stop_ids=frozenset({EOS})
    )
    return Sequence(request)


def step(scheduler: Scheduler, token: int = 1) -> list[Sequence]:
    """Compute one step and remove what it finishes."""
    scheduler.admit()
    chunks = scheduler.plan()
    grown = scheduler.apply(chunks, [token] * sum(chunk.samples for chunk in chunks))
    for sequence in grown:
        if sequence.finish_reason is not None:
            scheduler.remove(sequence)
    return grown


class AnyWorkload(RuleBasedStateMachine):
    """Random arrivals, steps and cancellations keep every promise of the scheduler."""

    @initialize(slots=st.integers(1, 5), spare=st.integers(0, 20))
    def start(self, slots: int, spare: int) -> None:
        self.slots, self.step_tokens = slots, slots + spare
        self.scheduler = Scheduler(slots, self.step_tokens)
        self.alive: list[Sequence] = []

    @rule(prompt=st.integers(1, 50), max_tokens=st.integers(1, 8))
    def arrive(self, prompt: int, max_tokens: int) -> None:
        sequence = a_sequence(prompt, max_tokens)
        self.scheduler.add(sequence)
        self.alive.append(sequence)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        sequence = self.alive.pop(data.draw(st.integers(0, len(self.alive) - 1)))
        slot = sequence.slot
        assert self.scheduler.remove(sequence) == slot

    @rule(token=st.sampled_from([1, EOS]))
    def step(self, token: int) -> None:
        self.scheduler.admit()
        decoding = [s for s in self.alive if s.is_decoding]
        prefilling = [s for s in self.alive if s.slot is not None and not s.is_decoding]
        chunks = self.scheduler.plan()

        assert sum(len(chunk.token_ids) for chunk in chunks) <= self.step_tokens
        assert len({chunk.slot for chunk in chunks}) == len(chunks)
        planned = [chunk.sequence for chunk in chunks]
        assert all(s in planned for s in decoding), "a decoding sequence missed a step"
        assert not prefilling or prefilling[0] in planned, "the oldest prompt made no progress"
        for chunk in chunks:
            end = chunk.start + len(chunk.token_ids)
            assert chunk.start == chunk.sequence.computed
            assert chunk.token_ids == chunk.sequence.token_ids[chunk.start : end]

        grown = self.scheduler.apply(chunks, [token] * sum(chunk.samples for chunk in chunks))
        for sequence in grown:
            if sequence.finish_reason is not None:
                self.scheduler.remove(sequence)
                self.alive.remove(sequence)

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        running = [s for s in self.alive if s.slot is not None]
        assert self.scheduler.running == len(running) == len({s.slot for s in running})
        assert self.scheduler.running + self.scheduler.waiting == len(self.alive)
        assert len(running) <= self.slots

    @invariant()
    def slots_go_to_the_first_come(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        started = [s.slot is not None for s in self.alive]
        assert started == sorted(started, reverse=True)

    def teardown(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        for _ in range(sum(50 + 8 for _ in self.alive)):
            self.step(1)
        assert self.alive == []
        assert self.scheduler.running == self.scheduler.waiting == 0


TestAnyWorkload = AnyWorkload.TestCase


def test_decoding_goes_on_beside_a_long_prompt() -> None:
    scheduler = Scheduler(slots=2, step_tokens=4)
    stream = a_sequence(1, max_tokens=100)
    scheduler.add(stream)
    step(scheduler)
    scheduler.add(a_sequence(9))

    scheduler.admit()
    assert [len(chunk.token_ids) for chunk in scheduler.plan()] == [1, 3]
    assert [step(scheduler) == [stream] for _ in range(2)] == [True, True]
    assert len(step(scheduler)) == 2


def test_a_prompt_in_chunks_samples_only_after_its_last_token() -> None:
    scheduler = Scheduler(slots=1, step_tokens=4)
    scheduler.add(a_sequence(9))
    assert [len(step(scheduler)) for _ in range(3)] == [0, 0, 1]


@given(prompts=st.lists(st.integers(1, 30), min_size=1, max_size=10))
def test_prompts_of_one_slot_are_answered_in_order_of_arrival(prompts: list[int]) -> None:
    scheduler = Scheduler(slots=1, step_tokens=7)
    sequences = [a_sequence(prompt) for prompt in prompts]
    for sequence in sequences:
        scheduler.add(sequence)

    answered: list[Sequence] = []
    while scheduler.running or scheduler.waiting:
        answered += step(scheduler)
    assert answered == sequences


def test_a_stop_id_ends_a_sequence_and_wins_over_the_length() -> None:
    scheduler = Scheduler(slots=1, step_tokens=8)
    stopped, cut = a_sequence(2, max_tokens=1), a_sequence(2, max_tokens=2)
    scheduler.add(stopped)
    scheduler.add(cut)

    step(scheduler, token=EOS)
    step(scheduler)
    assert (stopped.finish_reason, cut.finish_reason) == (FinishReason.STOP, None)
    step(scheduler)
    assert (cut.finish_reason, cut.token_ids) == (FinishReason.LENGTH, [0, 1, 1, 1])


def test_fewer_tokens_a_step_than_slots_is_an_error() -> None:
    with pytest.raises(ValueError, match="4 slots need steps of at least that many tokens, 3"):
        Scheduler(slots=4, step_tokens=3)
