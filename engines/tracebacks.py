"""Tracebacks that quote nobody."""

import traceback


def anonymous_traceback(error: BaseException) -> str:
    """Where ``error`` and what led to it were raised, and their classes; without their messages,
    which may quote a prompt."""
    parts, told = [], set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in told:
        told.add(id(cause))
        parts.append(_one(cause))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n\nThis led to:\n\n".join(reversed(parts))


def _one(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__))
    lines = [f"Traceback (most recent call last):\n{frames}{_name(type(error))}"]
    if isinstance(error, BaseExceptionGroup):
        lines += [f"One of its group:\n{anonymous_traceback(one)}" for one in error.exceptions]
    return "\n".join(lines)


def _name(kind: type) -> str:
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
