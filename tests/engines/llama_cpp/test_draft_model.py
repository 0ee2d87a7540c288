from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from codeserve.engines.batching.outcome import Outcome
from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.llama_cpp import repairs
from codeserve.engines.llama_cpp.context import Room
from codeserve.engines.llama_cpp.draft_model import DraftModel
from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.llama_cpp.tuning import Tuning
from codeserve.engines.llama_cpp.weights import Weights
from codeserve.engines.types import GenerationRequest

PROMPT = (32013, *range(300, 340))


@pytest.fixture
def model(tiny_deepseek_gguf: Path, log: LlamaLog) -> Iterator[DraftModel]:
    given = LlamaCppOptions.of({"type_k": "f32", "type_v": "f32", "n_batch": 32})
    options = given.settled(Tuning.static(given))
    with ExitStack() as resources:
        large = resources.enter_context(
            closing(
                Weights.load(
                    tiny_deepseek_gguf, options, repairs.overrides(()), lambda _: None, log
                )
            )
        )
        room = Room(1024, 2, unified=True)
        draft = DraftModel.load(tiny_deepseek_gguf, large, room, options, log)
        yield resources.enter_context(closing(draft))


def a_sequence(*prompt: int) -> Sequence:
    return Sequence(
        GenerationRequest(id="r", prompt_ids=prompt, max_tokens=50, stop_ids=frozenset())
    )


def draft(model: DraftModel, sequence: Sequence, count: int) -> list[int]:
    """The guesses, after as many calls as the prompt needs."""
    assert model.prospect(sequence) is not None
    while not (drafts := model.draft({sequence: count})):
        pass
    return list(drafts[sequence])


def test_a_long_prompt_is_caught_up_with_over_several_steps(model: DraftModel) -> None:
    sequence = a_sequence(*PROMPT)
    assert model.draft({sequence: 2}) == {}
    assert len(model.draft({sequence: 2})[sequence]) == 2


def test_it_guesses_what_it_would_say_itself(model: DraftModel) -> None:
    said = a_sequence(*PROMPT)
    for _ in range(6):
        said.take(Outcome(draft(model, said, 1)))
    assert draft(model, a_sequence(*PROMPT), 6) == said.token_ids[len(PROMPT) :]


def test_a_wrong_guess_is_forgotten(model: DraftModel) -> None:
    sequence = a_sequence(*PROMPT)
    first, second, *_ = draft(model, sequence, 4)
    other = second + 1
    model.learn(sequence, sequence.take(Outcome([first, other])).token_ids)
    after = draft(model, sequence, 3)
    assert after == draft(model, a_sequence(*PROMPT, first, other), 3)


def test_trust_follows_what_was_right(model: DraftModel) -> None:
    sequence = a_sequence(*PROMPT)

    def trust() -> float:
        prospect = model.prospect(sequence)
        assert prospect is not None
        return prospect.probability

    before = trust()
    guesses = draft(model, sequence, 4)
    model.learn(sequence, sequence.take(Outcome([*guesses, 5])).token_ids)
    risen = trust()
    guesses = draft(model, sequence, 4)
    model.learn(sequence, sequence.take(Outcome([guesses[0] + 1])).token_ids)
    assert before < risen
    assert trust() < risen


def test_more_sequences_than_slots_go_without_guesses(model: DraftModel) -> None:
    first, second, third = (a_sequence(*PROMPT, n) for n in range(3))
    for sequence in (first, second):
        draft(model, sequence, 1)
    assert model.prospect(third) is None
    model.forget(first)
    assert len(draft(model, third, 2)) == 2
