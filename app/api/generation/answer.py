"""One finished choice."""

import math
from dataclasses import dataclass, field
from statistics import fmean

from codeserve.app.api.generation.logprobs import finite
from codeserve.app.api.generation.stopwatch import Stopwatch
from codeserve.engines.types import FinishReason, PromptReport, TextDelta, TokenLogprobs, Usage


@dataclass(slots=True)
class Answer:
    """Everything that was generated for one choice."""

    index: int
    pieces: list[str] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    stop_reason: str | int | None = None
    prompt: PromptReport | None = None
    """Only if it was asked for."""
    usage: Usage | None = None
    """Of this choice alone."""
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    @property
    def text(self) -> str:
        """All of its text."""
        return "".join(self.pieces)

    @property
    def mean_logprob(self) -> float:
        """Of its tokens, if they were scored; nothing is less likely than no token."""
        logprobs = [finite(token.chosen.logprob) for token in self.logprobs]
        return fmean(logprobs) if logprobs else -math.inf

    def add(self, delta: TextDelta) -> None:
        """Take what ``delta`` adds."""
        self.stopwatch.note(delta)
        self.pieces.append(delta.text)
        self.token_ids += delta.token_ids
        self.logprobs += delta.logprobs
        self.finish_reason = delta.finish_reason
        self.stop_reason = delta.stop_reason
        self.prompt = self.prompt or delta.prompt
        self.usage = delta.usage or self.usage
