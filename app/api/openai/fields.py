"""Request fields that come in several forms, brought into one."""

from typing import Annotated, Any, NoReturn

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from codeserve.app.edge.validation import json_type

TokenId = Annotated[int, Field(ge=0)]


class TextPart(TypedDict):
    """A piece of a message's text."""

    type: str
    text: str


def _refuse(code: str, expected: str, place: str, value: object) -> NoReturn:
    raise PydanticCustomError(
        code,
        "expected {expected}, but {place} is {actual}.",
        {"expected": expected, "place": place, "actual": json_type(value)},
    )


def _is_token_ids(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _prompts(value: Any) -> tuple[str | tuple[int, ...], ...]:
    """One entry for each prompt: a text, or token ids."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        _refuse("invalid_type", "a string or an array", "it", value)
    if not value or [] in value:
        raise PydanticCustomError("invalid_value", "a prompt must not be an empty array.")
    if all(isinstance(item, str) for item in value):
        return tuple(value)
    if _is_token_ids(value):
        return (tuple(value),)
    if all(_is_token_ids(item) for item in value):
        return tuple(tuple(item) for item in value)
    raise PydanticCustomError(
        "invalid_type",
        "expected a string, an array of strings, an array of token ids (integers from 0), or an "
        "array of arrays of token ids, without a mixture.",
    )


def _stop_strings(value: Any) -> tuple[str, ...]:
    """Every stop string that is not empty."""
    strings = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(strings, list):
        _refuse("invalid_type", "a string or an array of strings", "it", value)
    for index, item in enumerate(strings):
        if not isinstance(item, str):
            _refuse("invalid_type", "a string", f"element {index}", item)
    return tuple(string for string in strings if string)


def _message_text(value: Any) -> str | None:
    """A message's text, its parts joined in order."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list):
        _refuse("invalid_type", "a string or an array of text parts", "it", value)
    return "".join(_part_text(index, part) for index, part in enumerate(value))


def _part_text(index: int, part: Any) -> str:
    if not isinstance(part, dict):
        _refuse("invalid_type", "an object", f"part {index}", part)
    if part.get("type") != "text":
        raise PydanticCustomError(
            "invalid_value",
            "part {index} is of type {type}, but this server takes parts of type 'text' only.",
            {"index": index, "type": repr(part.get("type"))},
        )
    if not isinstance(part.get("text"), str):
        _refuse("invalid_type", "a string", f"the text of part {index}", part.get("text"))
    return str(part["text"])


def _logit_bias(value: Any) -> dict[int, float] | None:
    """Token id to bias; JSON writes the ids as strings."""
    if value is None:
        return None
    if not isinstance(value, dict):
        _refuse("invalid_type", "an object", "it", value)
    for token, bias in value.items():
        if not (token.isascii() and token.isdecimal()):
            raise PydanticCustomError(
                "invalid_value", "{token} is no token id.", {"token": repr(token)}
            )
        if isinstance(bias, bool) or not isinstance(bias, int | float):
            _refuse("invalid_type", "a number", f"the bias of token {token}", bias)
        if not -100 <= bias <= 100:
            raise PydanticCustomError(
                "invalid_value",
                "the bias of token {token} is {bias}, but it must be from -100 to 100.",
                {"token": token, "bias": bias},
            )
    return {int(token): float(bias) for token, bias in value.items()}


Prompts = Annotated[
    tuple[str | tuple[int, ...], ...],
    PlainValidator(
        _prompts, json_schema_input_type=str | list[str] | list[TokenId] | list[list[TokenId]]
    ),
]
"""``prompt``: the prompts, each a text or token ids."""

StopStrings = Annotated[
    tuple[str, ...],
    PlainValidator(_stop_strings, json_schema_input_type=str | list[str] | None),
]
"""``stop``: texts that end a generation."""

MessageText = Annotated[
    str | None,
    PlainValidator(_message_text, json_schema_input_type=str | list[TextPart] | None),
]
"""``content`` of a message: its text, or None."""

LogitBias = Annotated[
    dict[int, float] | None,
    PlainValidator(_logit_bias, json_schema_input_type=dict[str, float] | None),
]
"""``logit_bias``: token id to a number that is added to its logit."""
