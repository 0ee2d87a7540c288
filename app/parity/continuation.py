"""What one model makes of one prompt."""

from itertools import count

import msgspec
from msgspec.structs import replace

from codeserve.app.api.generation.answer import Answer
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.parity.prompts import Prompt
from codeserve.engines.errors import ClientError, InvalidRequest
from codeserve.engines.types import (
    FinishReason,
    PromptReport,
    SamplingParams,
    TextRequest,
    TokenLogprobs,
)
from codeserve.model_specs.segments import Ids

ALTERNATIVES = 20
"""Of each token; as many as every engine gives without being told to allow more."""

GREEDY = SamplingParams(temperature=0.0)


class Continuation(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt, what a model greedily continues it with, and what it thinks of the reference's
    continuation."""

    prompt: PromptReport
    text: str
    tokens: tuple[TokenLogprobs, ...]
    """The model's own, with the id that ended them."""
    reading: tuple[TokenLogprobs, ...] = ()
    """The reference's tokens, scored as part of a prompt."""
    unread: str | None = None
    """Why the model could not read them; then there is no ``reading``."""
    seed_repeats: bool | None = None
    """Whether the same seed gave the same tokens twice; None: not tried."""

    @property
    def own_ids(self) -> tuple[int, ...]:
        """The ids of ``tokens``."""
        return tuple(token.chosen.token_id for token in self.tokens)


class Examiner:
    """Asks one model, one request at a time, each as if it were the first."""

    def __init__(self, model: LeasedModel, max_tokens: int, seed: int | None) -> None:
        """``max_tokens`` of each continuation. ``seed``: sample with it, twice; None: do not."""
        self._model = model
        self._max_tokens = max_tokens
        self._seed = seed
        self._numbers = count()

    async def examine(self, prompt: Prompt, reference: Continuation | None) -> Continuation:
        """Continue ``prompt`` and score the ``reference``; None: the model is the reference.

        Raises PromptError and ClientError where the model cannot, ServerError when it breaks.
        """
        request = TextRequest(
            prompt=prompt.segments(self._model.prompts),
            max_tokens=self._max_tokens,
            sampling=GREEDY,
            logprobs=ALTERNATIVES,
            show_prompt=True,
        )
        answer = await self._answer(request)
        if answer.finish_reason is FinishReason.LENGTH and len(answer.token_ids) < self._max_tokens:
            raise InvalidRequest(
                f"The model's context of {self._model.info.context_length} tokens ends after "
                f"{len(answer.token_ids)} tokens of the continuation. Ask for fewer tokens, or "
                "give the model a longer context."
            )
        assert answer.prompt is not None, "a report was asked for"
        own = Continuation(
            prompt=answer.prompt,
            text=answer.text,
            tokens=tuple(answer.logprobs),
            seed_repeats=await self._repeats(request),
        )
        try:
            return replace(own, reading=await self._read(reference or own))
        except ClientError as error:
            if reference is None:
                raise
            return replace(own, unread=error.message)

    async def _read(self, reference: Continuation) -> tuple[TokenLogprobs, ...]:
        """The scores of the reference's tokens after its prompt."""
        answer = await self._answer(
            TextRequest(
                prompt=(Ids(reference.prompt.token_ids + reference.own_ids),),
                max_tokens=1,
                sampling=GREEDY,
                show_prompt=True,
                prompt_logprobs=ALTERNATIVES,
            )
        )
        assert answer.prompt is not None, "a report was asked for"
        scores = answer.prompt.logprobs[len(reference.prompt.token_ids) :]
        return tuple(score for score in scores if score is not None)

    async def _repeats(self, request: TextRequest) -> bool | None:
        if self._seed is None:
            return None
        sampled = replace(
            request, sampling=SamplingParams(seed=self._seed), logprobs=None, show_prompt=False
        )
        first, second = await self._answer(sampled), await self._answer(sampled)
        return first.token_ids == second.token_ids

    async def _answer(self, request: TextRequest) -> Answer:
        """The whole answer; nothing that other requests have left in a cache is used."""
        request_id = f"parity-{next(self._numbers)}"
        stream = await self._model.generate(replace(request, id=request_id, cache_salt=request_id))
        answer = Answer(0)
        try:
            async for delta in stream:
                answer.add(delta)
        finally:
            await stream.aclose()
        return answer
