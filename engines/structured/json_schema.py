"""JSON schemas, made ready for llguidance."""

import json
from collections.abc import Iterator
from fractions import Fraction
from math import lcm
from typing import Any, NoReturn

from codeserve.engines.structured.closed_objects import closed

OPTIONS = "x-guidance"
WHITESPACE = r" |\r?\n[ \t]{0,40}"
"""Between two tokens of JSON, at most once: a space, or a line break and an indentation."""
MAX_REMAINDERS = 20_000
"""As many states as numbers that are a multiple of all of a schema's ``multipleOf`` may take."""


def bounded(text: str) -> str:
    """The schema with closed objects and the bound on whitespace.

    Raises ValueError, with a message that follows a colon.
    """
    try:
        schema = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    return with_bounds(schema)


def with_bounds(schema: Any) -> str:
    """The parsed schema as JSON text, with closed objects and the bound on whitespace.

    Raises ValueError.
    """
    if schema is True:
        schema = {}
    if schema is False:
        raise ValueError("the schema false allows no value")
    if not isinstance(schema, dict):
        raise ValueError("a schema is a JSON object, true or false")
    if OPTIONS in schema:
        raise ValueError(f"the key {OPTIONS!r} is not supported")
    _check_multiples(schema)
    try:
        options = {OPTIONS: {"whitespace_pattern": WHITESPACE}}
        return json.dumps(options | closed(schema), allow_nan=False)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _check_multiples(schema: Any) -> None:
    """llguidance holds a state for each remainder of the least common multiple."""
    multiples = {Fraction(str(value)) for value in _values_of("multipleOf", schema)} - {0}
    if not multiples:
        return
    scale = lcm(*(multiple.denominator for multiple in multiples))
    remainders = lcm(*(int(multiple * scale) for multiple in multiples))
    if abs(remainders) > MAX_REMAINDERS:
        raise ValueError(
            f"its values of multipleOf have {remainders} remainders together; "
            f"at most {MAX_REMAINDERS} are supported"
        )


def _values_of(key: str, schema: Any) -> Iterator[int | float]:
    pending = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            value = node.get(key)
            if isinstance(value, int | float) and abs(value) != float("inf"):
                yield value
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
