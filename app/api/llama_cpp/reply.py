"""The replies of ``/completion`` and ``/infill``."""

import time
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from fastapi import Response

from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.generation.choices import Choices
from codeserve.app.api.llama_cpp.options import GenerationOptions
from codeserve.app.api.llama_cpp.result import (
    Piece,
    Result,
    probabilities,
    progress,
    select,
    stop_type,
    timings,
)
from codeserve.app.edge.errors import error_json
from codeserve.app.edge.sse import EventStream, event
from codeserve.engines.errors import ServingError
from codeserve.engines.types import FinishReason, PromptReport, TextDelta, Usage


class NativeReply:
    """llama.cpp's own shape: one object, or an array of several; events without ``[DONE]``."""

    def __init__(
        self,
        model: str,
        context_length: int,
        options: GenerationOptions,
        settings: Mapping[str, Any],
        *,
        is_cut: bool = False,
    ) -> None:
        """``settings`` are reported as ``generation_settings``. ``is_cut``: the prompt is not all
        that was given."""
        self.id = f"native-{uuid.uuid4().hex}"
        self._model = model
        self._context_length = context_length
        self._options = options
        self._settings = settings
        self._is_cut = is_cut
        self._started = time.perf_counter()
        self._answers: dict[int, Answer] = {}

    def whole(self, answers: Sequence[Answer], usage: Usage) -> bytes:
        """The result, or an array of the results of several prompts or choices."""
        results = [self._shown(self._result(answer)) for answer in answers]
        return msgspec.json.encode(results if len(results) > 1 else results[0])

    def opening(self, choices: Choices) -> Iterable[bytes]:
        """Nothing comes before the text."""
        return ()

    def frames(self, choices: Choices, index: int, delta: TextDelta) -> Iterable[bytes]:
        """Text and tokens, and the result without them at the end of each choice."""
        answer = self._answers.setdefault(index, Answer(index))
        answer.add(delta)
        if not self._options.is_warm_up and (delta.text or delta.token_ids):
            yield _event(self._piece(answer, delta).model_dump(exclude_none=True))
        if delta.finish_reason is not None:
            end = self._result(answer).model_copy(
                update={"content": "", "tokens": [], "completion_probabilities": None}
            )
            yield _event({"content": "", "stop": True, **self._shown(end)})

    def closing(self, usage: Usage) -> Iterable[bytes]:
        """Nothing: the results have said it."""
        return ()

    def failure(self, error: ServingError) -> Iterable[bytes]:
        """The error as an event."""
        yield event(error_json(error))

    def stream(self, frames: AsyncIterator[bytes], keepalive_seconds: float) -> Response:
        """Server-sent events."""
        return EventStream(frames, keepalive_seconds)

    def _piece(self, answer: Answer, delta: TextDelta) -> Piece:
        return Piece(
            index=answer.index,
            content=delta.text,
            tokens=list(delta.token_ids),
            completion_probabilities=probabilities(delta.logprobs) if self._scores else None,
            timings=progress(answer, len(answer.token_ids), self._started)
            if self._options.timings_per_token
            else None,
        )

    def _result(self, answer: Answer) -> Result:
        warm_up, usage = self._options.is_warm_up, answer.usage or Usage()
        if warm_up:
            usage = msgspec.structs.replace(usage, completion_tokens=0)
        text = "" if warm_up else answer.text
        tokens = usage.prompt_tokens + usage.completion_tokens
        ended_full = answer.finish_reason is FinishReason.LENGTH and tokens >= self._context_length
        report = answer.prompt
        return Result(
            index=answer.index,
            content=text,
            tokens=answer.token_ids if self._options.return_tokens and not warm_up else [],
            model=self._model,
            tokens_predicted=usage.completion_tokens,
            tokens_evaluated=usage.prompt_tokens,
            generation_settings=dict(self._settings),
            prompt=None if report is None else _text(report),
            has_new_line="\n" in text,
            truncated=self._is_cut or ended_full,
            stop_type="limit" if warm_up else stop_type(answer),
            stopping_word=answer.stop_reason if isinstance(answer.stop_reason, str) else "",
            tokens_cached=tokens,
            timings=timings(answer, usage, self._started),
            completion_probabilities=probabilities(answer.logprobs) if self._scores else None,
        )

    @property
    def _scores(self) -> bool:
        return bool(self._options.n_probs) and not self._options.is_warm_up

    def _shown(self, result: Result) -> dict[str, Any]:
        """``result`` or the fields of it that were asked for."""
        fields = result.model_dump(exclude_none=True)
        wanted = self._options.response_fields
        return select(fields, wanted) if wanted else fields


def _event(fields: Mapping[str, Any]) -> bytes:
    return event(msgspec.json.encode(fields))


def _text(prompt: PromptReport) -> str:
    """The prompt as the model has seen it, control tokens by their names."""
    return b"".join(prompt.spellings).decode(errors="replace")
