"""What pydantic finds wrong with a request, in OpenAI's words."""

from collections.abc import Mapping, Sequence
from json import JSONDecodeError
from typing import Any

from fastapi.exceptions import RequestValidationError

from codeserve.engines.errors import InvalidRequest

BOUNDS: Mapping[str, tuple[str, str, str]] = {
    "greater_than": ("gt", ">", "below_min_value"),
    "greater_than_equal": ("ge", ">=", "below_min_value"),
    "less_than": ("lt", "<", "above_max_value"),
    "less_than_equal": ("le", "<=", "above_max_value"),
}
"""pydantic's error type to the limit's name in its context, its sign, and the end of our code."""

EXPECTED: Mapping[str, str] = {
    "bool_type": "a boolean",
    "dict_type": "an object",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_type": "an integer",
    "list_type": "an array",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "string_type": "a string",
}
"""pydantic's error type to the JSON type that was expected."""

NO_OBJECT = frozenset({"missing", "dict_type", "model_attributes_type", "model_type"})
"""pydantic's error types for a body that is no JSON object."""

LONGEST_QUOTE = 100


def malformed_json(reason: str) -> InvalidRequest:
    """The refusal of a body that is not JSON."""
    return InvalidRequest(
        f"We could not parse the JSON body of your request: {reason}. (HINT: send one JSON object, "
        "encoded as UTF-8, with the header Content-Type: application/json.)"
    )


def unreadable_json(cause: BaseException | None) -> InvalidRequest:
    """The refusal of a body at which Python's JSON parser raised ``cause``."""
    match cause:
        case JSONDecodeError():
            return malformed_json(f"{cause.msg} at character {cause.pos}")
        case UnicodeDecodeError():
            return malformed_json(f"it is not UTF-8 at byte {cause.start}")
        case RecursionError():
            return malformed_json("it is nested too deeply")
        case ValueError():
            return malformed_json(str(cause).partition(";")[0])
        case _:
            return malformed_json("it could not be read")


def refusal_of(error: RequestValidationError) -> InvalidRequest:
    """The refusal for the first thing that is wrong in a request."""
    first: Mapping[str, Any] = error.errors()[0]
    kind: str = first["type"]
    field = first.get("ctx", {}).get("param") or field_path(first["loc"][1:])
    if kind == "json_invalid":
        return malformed_json(f"{first['ctx']['error']} at character {first['loc'][-1]}")
    if field == "" and kind in NO_OBJECT:
        return malformed_json(_no_object(kind, first["input"]))
    if field == "model" and (kind == "missing" or first["input"] in (None, "")):
        return InvalidRequest(
            "you must provide a model parameter (in a JSON object, with the header Content-Type: "
            "application/json)"
        )
    if kind == "missing":
        return InvalidRequest(
            f"Missing required parameter: '{field}'.",
            param=field,
            code="missing_required_parameter",
        )
    if kind in EXPECTED:
        return wrong_type(field, EXPECTED[kind], first["input"])
    if kind in BOUNDS:
        return _out_of_range(field, kind, first["ctx"], first["input"])
    if kind == "literal_error":
        message = f"Invalid value: {_quoted(first['input'])}. Supported values are: "
        return InvalidRequest(
            f"{message}{first['ctx']['expected']}.", param=field, code="invalid_value"
        )
    if kind == "too_short":
        return InvalidRequest(
            f"Invalid '{field}': empty array. Expected at least {first['ctx']['min_length']} "
            "element.",
            param=field,
            code="empty_array",
        )
    code = kind if kind in ("invalid_type", "unsupported_value") else "invalid_value"
    where = f"'{field}'" if field else "request"
    return InvalidRequest(f"Invalid {where}: {first['msg']}", param=field or None, code=code)


def wrong_type(field: str, expected: str, value: object) -> InvalidRequest:
    """The refusal of a ``value`` whose JSON type is not the expected one."""
    return InvalidRequest(
        f"Invalid type for '{field}': expected {expected}, but got {json_type(value)} instead.",
        param=field,
        code="invalid_type",
    )


def field_path(location: Sequence[int | str]) -> str:
    """``("messages", 0, "content")`` as ``messages[0].content``."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


def json_type(value: object) -> str:
    """The JSON type of ``value`` in words, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal number"
        case str() | bytes():
            return "a string"
        case list() | tuple():
            return "an array"
        case _:
            return "an object"


def _out_of_range(
    field: str, kind: str, context: Mapping[str, Any], value: object
) -> InvalidRequest:
    limit, sign, end = BOUNDS[kind]
    number = "integer" if isinstance(value, int) and isinstance(context[limit], int) else "decimal"
    side = "below minimum" if end.startswith("below") else "above maximum"
    return InvalidRequest(
        f"Invalid '{field}': {number} {side} value. Expected a value {sign} {context[limit]}, but "
        f"got {_quoted(value)} instead.",
        param=field,
        code=f"{number}_{end}",
    )


def _no_object(kind: str, value: object) -> str:
    return (
        "it is empty or null" if kind == "missing" else f"it is {json_type(value)}, not an object"
    )


def _quoted(value: object) -> str:
    """``value`` for a message, cut where a client might have sent a book."""
    text = repr(value)
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."
