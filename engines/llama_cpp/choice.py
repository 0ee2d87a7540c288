"""How the tokens of one slot are chosen and scored."""

from collections.abc import Sequence
from typing import Any

from codeserve.engines.batching.constraint import Constraint
from codeserve.engines.batching.outcome import Outcome
from codeserve.engines.batching.scoring import Scorer
from codeserve.engines.batching.step_backend import Chunk, following
from codeserve.engines.errors import ServingError
from codeserve.engines.llama_cpp.sampler import Sampler, is_plain_greedy
from codeserve.engines.types import GenerationRequest


class Choice:
    """Serves one request in one slot, to be closed once."""

    def __init__(
        self,
        request: GenerationRequest,
        constraint: Constraint | None,
        vocab_size: int,
        context_length: int,
    ) -> None:
        """``constraint`` belongs to this request."""
        self._request = request
        self._constraint = constraint
        self._sampler: Sampler | None = None
        if not is_plain_greedy(request.sampling):
            self._sampler = Sampler(request, vocab_size, context_length)

    @staticmethod
    def is_needed(request: GenerationRequest, constraint: Constraint | None) -> bool:
        """Whether there is more to do than to take the likeliest token."""
        return not (
            constraint is None
            and request.logprobs is None
            and request.prompt_logprobs is None
            and is_plain_greedy(request.sampling)
        )

    def close(self) -> None:
        """Free the sampler."""
        if self._sampler is not None:
            self._sampler.close()

    def scorers(self, chunk: Chunk, rows: Any) -> tuple[Scorer | None, Scorer | None]:
        """What scores the prompt's tokens and the sampled ones after ``rows``, the logits of
        ``chunk``, before anything has changed them."""
        sampled, prompt = self._request.logprobs, self._request.prompt_logprobs
        return (
            Scorer(rows, prompt) if chunk.scores_prompt and prompt is not None else None,
            Scorer(rows[-1 - chunk.drafts :], sampled)
            if chunk.samples and sampled is not None
            else None,
        )

    def outcome(
        self,
        chunk: Chunk,
        rows: Any,
        places: Sequence[int],
        context: Any,
        scorers: tuple[Scorer | None, Scorer | None],
    ) -> Outcome:
        """What ``chunk`` yields; ``places`` are those of ``rows`` in the batch."""
        on_prompt, on_sampled = scorers
        prompt_scores = (
            [] if on_prompt is None else on_prompt.scores(following(chunk, self._request))
        )
        if not chunk.samples:
            return Outcome(prompt_scores=prompt_scores)
        first = len(places) - 1 - chunk.drafts
        drafts = chunk.token_ids[len(chunk.token_ids) - chunk.drafts :]
        tokens: list[int] = []
        for index, place in enumerate(places[first:]):
            try:
                token = self._choose(rows[first + index], place, context)
            except ServingError as error:
                return Outcome(error=error)
            tokens.append(token)
            if token in self._request.stop_ids or list(drafts[index : index + 1]) != [token]:
                break
        scores = [] if on_sampled is None else on_sampled.scores(tokens)
        return Outcome(tokens, scores, prompt_scores)

    def _choose(self, row: Any, place: int, context: Any) -> int:
        if self._constraint is not None:
            self._constraint.apply(row)
        token = int(row.argmax()) if self._sampler is None else self._sampler.sample(context, place)
        if self._constraint is not None:
            self._constraint.accept(token)
        return token
