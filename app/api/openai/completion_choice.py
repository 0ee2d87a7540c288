"""One choice of a completion, in pieces or as a whole."""

from collections.abc import Iterable

from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.openai.completion_types import CompletionChoice, CompletionFields
from codeserve.app.api.openai.legacy_logprobs import LegacyLogprobs, TokenLog, legacy_logprobs
from codeserve.app.api.openai.prompt_logprobs import prompt_logprobs
from codeserve.app.api.openai.replies import shown_stop
from codeserve.engines.types import FinishReason, PromptReport, TokenLogprobs


class ChoiceWriter:
    """Writes what a request wants to see of one choice, piece by piece in the order of its text."""

    def __init__(self, index: int, body: CompletionFields, bos: int | None) -> None:
        """``bos`` is the id that starts a prompt without being part of its text, if any."""
        self._index = index
        self._body = body
        self._bos = bos
        self._log = TokenLog(
            body.logprobs or 0,
            shows_ids=bool(body.return_tokens_as_token_ids),
            shows_control=body.skip_special_tokens is False,
        )

    def text(self, text: str) -> CompletionChoice:
        """A piece of nothing but text."""
        return CompletionChoice(text=text, index=self._index, logprobs=None, finish_reason=None)

    def prompt(self, report: PromptReport) -> CompletionChoice:
        """The prompt: its text if it is echoed, its ids, its log-probabilities."""
        body = self._body
        piece = self.text(report.text if body.echo else "")
        if body.echo and body.logprobs is not None:
            piece["logprobs"] = legacy_logprobs(self._log.prompt(report, self._bos))
        if body.prompt_logprobs is not None:
            piece["prompt_logprobs"] = prompt_logprobs(report, body.prompt_logprobs)
        if body.return_token_ids:
            piece["prompt_token_ids"] = list(report.token_ids)
            piece["token_ids"] = []
        return piece

    def generated(
        self, text: str, logprobs: Iterable[TokenLogprobs], token_ids: Iterable[int]
    ) -> CompletionChoice:
        """The next of what was generated."""
        piece = self.text(text)
        if self._body.logprobs is not None:
            piece["logprobs"] = legacy_logprobs(self._log.generated(logprobs))
        if self._body.return_token_ids:
            piece["token_ids"] = list(token_ids)
        return piece

    def end(self, finish: FinishReason | None, stop: str | int | None) -> CompletionChoice:
        """The end, without text."""
        piece = self.text("")
        piece["finish_reason"] = finish
        piece["stop_reason"] = shown_stop(stop, self._body)
        return piece

    def whole(self, answer: Answer) -> CompletionChoice:
        """All of it at once."""
        prompt = self.text("") if answer.prompt is None else self.prompt(answer.prompt)
        generated = self.generated(answer.text, answer.logprobs, answer.token_ids)
        end = self.end(answer.finish_reason, answer.stop_reason)
        return {
            **prompt,
            **generated,
            **end,
            "text": prompt["text"] + generated["text"],
            "logprobs": _joined(prompt["logprobs"], generated["logprobs"]),
        }


def _joined(first: LegacyLogprobs | None, second: LegacyLogprobs | None) -> LegacyLogprobs | None:
    if first is None or second is None:
        return first or second
    return LegacyLogprobs(
        tokens=first["tokens"] + second["tokens"],
        token_logprobs=first["token_logprobs"] + second["token_logprobs"],
        top_logprobs=first["top_logprobs"] + second["top_logprobs"],
        text_offset=first["text_offset"] + second["text_offset"],
    )
