"""How many requests a model takes, and how long they may wait."""

from typing import Self

import msgspec

from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that a request may take; None: as many as it needs."""

    queue: float | None = None
    """Until it gets a slot of the engine."""
    first_token: float | None = None
    """From its arrival to its first token."""
    request: float | None = None
    """From its arrival to its last token."""


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one model, all its replicas together."""

    slots: int = 1
    """Requests that are computed together."""
    waiting: int = 0
    """Requests that may wait besides."""
    waiting_tokens: int | None = None
    """Tokens of all prompts that may wait for one replica; None: any number."""
    timeouts: Timeouts = Timeouts()

    @classmethod
    def of(cls, model: ModelSettings, server: ServerSettings, replicas: int) -> Self:
        """What the ``model`` says, and else the ``server``."""
        return cls(
            slots=model.max_concurrency * replicas,
            waiting=server.max_waiting if model.max_waiting is None else model.max_waiting,
            waiting_tokens=model.max_waiting_tokens or server.max_waiting_tokens,
            timeouts=Timeouts(
                queue=model.queue_timeout or server.queue_timeout,
                first_token=model.first_token_timeout or server.first_token_timeout,
                request=model.request_timeout or server.request_timeout,
            ),
        )

    @property
    def most(self) -> int:
        """Requests that may be there at once."""
        return self.slots + self.waiting
