"""Times as Ollama writes them."""

from datetime import UTC, datetime


def rfc3339(time: datetime) -> str:
    """``time`` in UTC, to the microsecond."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def now() -> str:
    """This moment."""
    return rfc3339(datetime.now(UTC))
