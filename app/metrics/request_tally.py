"""What the requests of one model have come to, in numbers that only grow."""

import re
from collections import Counter
from enum import StrEnum

from codeserve.app.distribution import (
    SECONDS_BETWEEN_TOKENS,
    SECONDS_OF_REQUESTS,
    SECONDS_TO_FIRST_TOKEN,
    TOKENS,
    Distribution,
)
from codeserve.app.edge.record import RequestRecord


class Outcome(StrEnum):
    """How a request ended."""

    OK = "ok"
    DISCONNECTED = "disconnected"
    """Its client went away."""
    REFUSED = "refused"
    """It was at fault, or came when it could not be served; no engine has worked for it."""
    ERROR = "error"
    """The server broke, or the request ran out of its time."""


class Stage(StrEnum):
    """How far a request had come."""

    QUEUED = "queued"
    """It waited for its model or for a slot of the engine."""
    PREFILL = "prefill"
    """Its prompt was being computed."""
    DECODE = "decode"
    """It had got its first token."""


class RequestTally:
    """Counts requests that have ended."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter(dict.fromkeys(Outcome, 0))
        self.rejections: Counter[str] = Counter(queue_full=0)
        """Those that no engine took, by the kind of error, such as ``queue_full``."""
        self.cancelled: Counter[str] = Counter(dict.fromkeys(Stage, 0))
        """Those whose client went away, by how far they had come."""
        self.finish_reasons: Counter[str] = Counter(stop=0, length=0, abort=0, error=0)
        """Choices that ended by themselves, and requests that did not."""
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.generated_tokens = 0
        self.first_token = Distribution(SECONDS_TO_FIRST_TOKEN)
        self.between_tokens = Distribution(SECONDS_BETWEEN_TOKENS)
        self.per_token = Distribution(SECONDS_BETWEEN_TOKENS)
        self.queued = Distribution(SECONDS_OF_REQUESTS)
        self.prefill = Distribution(SECONDS_OF_REQUESTS)
        self.decode = Distribution(SECONDS_OF_REQUESTS)
        self.duration = Distribution(SECONDS_OF_REQUESTS)
        """Of requests that an engine took."""
        self.durations = {one: Distribution(SECONDS_OF_REQUESTS) for one in Outcome}
        """The same by outcome."""
        self.prompt_lengths = Distribution(TOKENS)
        self.generated_lengths = Distribution(TOKENS)

    def add(self, record: RequestRecord, *, others_wait: bool) -> None:
        """Count the request of ``record``. ``others_wait``: for a slot, so that one without a token
        did, too."""
        outcome = outcome_of(record)
        self.outcomes[outcome] += 1
        if outcome is Outcome.REFUSED and record.refusal is not None:
            self.rejections[_snake_case(record.refusal)] += 1
        if outcome is Outcome.DISCONNECTED:
            self.cancelled[_stage(record, others_wait)] += 1
        if record.accepted is not None:
            self._add_generation(record, record.accepted, outcome)

    def _add_generation(self, record: RequestRecord, accepted: float, outcome: Outcome) -> None:
        seconds = (record.ended or accepted) - record.started
        self.duration.add(seconds)
        self.durations[outcome].add(seconds)
        self.finish_reasons.update(record.finish_reasons)
        if outcome is not Outcome.OK:
            self.finish_reasons["abort" if outcome is Outcome.DISCONNECTED else "error"] += 1
        self._add_tokens(record)
        if record.queued_seconds is not None:
            self.queued.add(record.queued_seconds)
        if record.first_token is None or record.last_token is None:
            return
        self.first_token.add(record.first_token - record.started)
        self.between_tokens.add_all(record.token_gaps)
        since_slot = record.first_token - accepted - (record.queued_seconds or 0.0)
        self.prefill.add(max(0.0, since_slot))
        decode = record.last_token - record.first_token
        self.decode.add(decode)
        later = (record.completion_tokens or 0) - record.choices
        if later > 0:
            self.per_token.add(decode / later)

    def _add_tokens(self, record: RequestRecord) -> None:
        prompt, generated = record.prompt_tokens or 0, record.completion_tokens or 0
        self.prompt_tokens += prompt
        self.cached_tokens += record.cached_tokens or 0
        self.generated_tokens += generated
        self.prompt_lengths.add(prompt)
        self.generated_lengths.add(generated)


def outcome_of(record: RequestRecord) -> Outcome:
    """How the request of ``record`` ended."""
    if record.outcome in (Outcome.OK, Outcome.DISCONNECTED):
        return Outcome(record.outcome)
    status = record.status or 500
    was_late = record.accepted is not None and status >= 500
    if record.refusal is None or status == 500 or was_late:
        return Outcome.ERROR
    return Outcome.REFUSED


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _stage(record: RequestRecord, others_wait: bool) -> Stage:
    if record.first_token is not None:
        return Stage.DECODE
    if record.accepted is None or (record.queued_seconds is None and others_wait):
        return Stage.QUEUED
    return Stage.PREFILL
