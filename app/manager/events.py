"""What happened to models, for operators."""

from enum import StrEnum

import msgspec


class EventKind(StrEnum):
    """Why an event was written."""

    LAUNCHED = "launched"
    STATE = "state"
    """The model entered another state."""
    UNLOADED = "unloaded"
    """It gave its memory back: it was idle, or others needed the room."""
    PINNED = "pinned"
    UNPINNED = "unpinned"
    TERMINATED = "terminated"
    RESTORED = "restored"
    """It was launched before the server ended, and has been launched again."""
    NOT_SAVED = "not_saved"
    """What shall be remembered could not be written to the state file."""
    REGISTERED = "registered"
    UNREGISTERED = "unregistered"


class ModelEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to one model, or to a family of models."""

    at: float
    """Unix time in seconds."""
    model: str
    """Id of the model; of a registration, the family's name."""
    kind: EventKind
    state: str | None = None
    """The model's state from then on."""
    message: str = ""
    """What happened and why, in a sentence."""
