"""What POST /v1/completions answers."""

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence

from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.generation.choices import Choices
from codeserve.app.api.generation.json_frames import compact_json
from codeserve.app.api.openai.completion_choice import ChoiceWriter
from codeserve.app.api.openai.completion_types import (
    Completion,
    CompletionChoice,
    CompletionChunk,
    CompletionFields,
)
from codeserve.app.api.openai.replies import StreamedReply, usage_report
from codeserve.app.api.openai.usage_types import UsageReport
from codeserve.engines.types import TextDelta, Usage


class CompletionReply(StreamedReply):
    """OpenAI's ``text_completion``, with vLLM's additions where they are asked for."""

    def __init__(self, model_id: str, body: CompletionFields, bos: int | None) -> None:
        """``bos`` is the id that starts a prompt without being part of its text, if any."""
        super().__init__(body.stream_options)
        self.id = f"cmpl-{uuid.uuid4().hex}"
        self._model = model_id
        self._created = int(time.time())
        self._body = body
        self._bos = bos
        self._writers: dict[int, ChoiceWriter] = {}
        self._is_text_alone = not (
            body.return_token_ids or body.logprobs is not None or self._with_continuous_usage
        )

    def opening(self, choices: Choices) -> Iterable[bytes]:
        """Completions open with their first text."""
        return ()

    def frames(self, choices: Choices, index: int, delta: TextDelta) -> Iterable[bytes]:
        """The prompt if it is to be seen, text, and the end of the choice in a chunk of its own."""
        writer = self._writer(index)
        usage = self.usage_so_far(choices)
        if delta.prompt is not None:
            yield self._event(self._chunk(writer.prompt(delta.prompt), usage))
        if self._is_text_alone:
            if delta.text:
                yield self._texts.frame(
                    index, delta.text, lambda text: self._chunk(writer.text(text), None)
                )
        elif delta.text or delta.logprobs or (self._body.return_token_ids and delta.token_ids):
            piece = writer.generated(delta.text, delta.logprobs, delta.token_ids)
            yield self._event(self._chunk(piece, usage))
        if delta.finish_reason is not None:
            end = writer.end(delta.finish_reason, delta.stop_reason)
            yield self._event(self._chunk(end, usage))

    def usage_chunk(self, usage: UsageReport) -> Completion:
        """The last chunk of the stream."""
        return self._completion([], usage)

    def whole(self, answers: Sequence[Answer], usage: Usage) -> bytes:
        """Everything at once; of the candidates for the choices, the likeliest."""
        given = self._best(answers) if self._body.ranks else answers
        choices = [self._writer(index).whole(answer) for index, answer in enumerate(given)]
        return compact_json(self._completion(choices, usage_report(usage)))

    def _best(self, answers: Sequence[Answer]) -> Iterator[Answer]:
        count = self._body.candidates_per_prompt
        for first in range(0, len(answers), count):
            candidates = answers[first : first + count]
            ranked = sorted(candidates, key=lambda answer: answer.mean_logprob, reverse=True)
            yield from ranked[: self._body.choices_per_prompt]

    def _writer(self, index: int) -> ChoiceWriter:
        if index not in self._writers:
            self._writers[index] = ChoiceWriter(index, self._body, self._bos)
        return self._writers[index]

    def _chunk(self, choice: CompletionChoice, usage: UsageReport | None) -> CompletionChunk:
        if usage is not None:
            return self._completion([choice], usage)
        return CompletionChunk(
            id=self.id, created=self._created, model=self._model, choices=[choice]
        )

    def _completion(self, choices: list[CompletionChoice], usage: UsageReport) -> Completion:
        return Completion(
            id=self.id, created=self._created, model=self._model, choices=choices, usage=usage
        )
