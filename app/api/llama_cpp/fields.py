"""Request fields of llama.cpp's server that come in several forms, brought into one."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NoReturn

from pydantic import PlainValidator
from pydantic_core import PydanticCustomError

from codeserve.app.edge.validation import json_type
from codeserve.engines.errors import InvalidRequest

LARGEST_ID = 2**31 - 1

BAN = -1e9
"""A bias that no logit outweighs."""

Prompt = tuple[str | tuple[int, ...], ...]
"""Texts and token ids, one after the other."""

SAMPLERS: Mapping[str, str] = {
    "e": "penalties",
    "d": "dry",
    "k": "top_k",
    "y": "typical_p",
    "p": "top_p",
    "s": "top_n_sigma",
    "m": "min_p",
    "t": "temperature",
    "x": "xtc",
    "i": "infill",
}
"""The letter of a sampler to its name."""

SAMPLER_ALIASES: Mapping[str, str] = {"typ_p": "typical_p", "temp": "temperature"}


def _refuse(message: str, **context: Any) -> NoReturn:
    raise PydanticCustomError("invalid_value", message, context)


def _wrong_type(expected: str, place: str, value: object) -> NoReturn:
    raise PydanticCustomError(
        "invalid_type",
        "expected {expected}, but {place} is {actual}.",
        {"expected": expected, "place": place, "actual": json_type(value)},
    )


def is_token_id(value: object) -> bool:
    """Whether ``value`` is a number that could be a token's."""
    return type(value) is int and 0 <= value <= LARGEST_ID


def check_ids(token_ids: Sequence[int], field: str, vocab_size: int) -> None:
    """Raise InvalidRequest if one of ``token_ids``, which ``field`` has given, does not exist."""
    largest = max(token_ids, default=0)
    if largest >= vocab_size:
        raise InvalidRequest(
            f"Invalid '{field}': token id {largest} does not exist; this model's ids are 0 to "
            f"{vocab_size - 1}.",
            param=field,
            code="invalid_value",
        )


def _prompts(value: Any) -> tuple[Prompt, ...]:
    """One entry for each prompt."""
    if isinstance(value, list) and not _is_mixed(value):
        if not value:
            _refuse("a prompt must not be an empty array.")
        return tuple(_prompt(item, f"element {index}") for index, item in enumerate(value))
    return (_prompt(value, "it"),)


def _is_mixed(value: list[Any]) -> bool:
    """Whether an array is one prompt: it holds a token id, and nothing but ids and texts."""
    plain = all(isinstance(item, str) or type(item) is int for item in value)
    return plain and any(type(item) is int for item in value)


def _prompt(value: Any, place: str) -> Prompt:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, dict):
        return (_prompt_object(value, place),)
    if not isinstance(value, list):
        _wrong_type("a string or an array of strings and token ids", place, value)
    if not value:
        _refuse("a prompt must not be an empty array.")
    for item in value:
        if not isinstance(item, str) and not is_token_id(item):
            _refuse(
                "a prompt holds strings and token ids (integers from 0 to {most}), but {place} "
                "holds {item}.",
                most=LARGEST_ID,
                place=place,
                item=str(item) if type(item) is int else json_type(item),
            )
    return tuple(item if isinstance(item, str) else (item,) for item in value)


def _prompt_object(value: Mapping[str, Any], place: str) -> str:
    text = value.get("prompt_string")
    if not isinstance(text, str):
        _wrong_type("a string", f"'prompt_string' of {place}", text)
    if value.get("multimodal_data"):
        _refuse("this server takes text only, without 'multimodal_data'.")
    return text


def _logit_bias(value: Any) -> tuple[tuple[int | str, float], ...]:
    """Token id, or text whose tokens are meant, and its bias; ``BAN`` where it is false."""
    pairs = [] if value is None else [*value.items()] if isinstance(value, dict) else value
    if not isinstance(pairs, list):
        _wrong_type("an object or an array of pairs", "it", value)
    return tuple(_bias(pair) for pair in pairs)


def _bias(pair: Any) -> tuple[int | str, float]:
    if not (isinstance(pair, list | tuple) and len(pair) == 2):
        _wrong_type("a pair of a token and its bias", "an element", pair)
    token, bias = pair
    if isinstance(token, str) and token.isascii() and token.isdecimal() and len(token) <= 10:
        token = int(token)
    if not isinstance(token, str) and not is_token_id(token):
        _refuse("a token is a text, or an id from 0 to {most}.", most=LARGEST_ID)
    if bias is False:
        return token, BAN
    if isinstance(bias, bool) or not isinstance(bias, int | float):
        _wrong_type("a number or false", f"the bias of token {token!r}", bias)
    if not -1e6 <= bias <= 1e6:
        _refuse("the bias of token {token} must be from -1e6 to 1e6.", token=repr(token))
    return token, float(bias)


def _samplers(value: Any) -> frozenset[str] | None:
    """The names of the samplers to use; None: all of them."""
    if value is None:
        return None
    if isinstance(value, str):
        return frozenset(SAMPLERS[letter] for letter in value if letter in SAMPLERS)
    if not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        _wrong_type("a string or an array of strings", "it", value)
    return frozenset(SAMPLER_ALIASES.get(name, name) for name in value)


Prompts = Annotated[
    tuple[Prompt, ...],
    PlainValidator(_prompts, json_schema_input_type=str | list[str | int | list[str | int]]),
]
"""``prompt``: the prompts, each of texts and token ids."""

LogitBias = Annotated[
    tuple[tuple[int | str, float], ...],
    PlainValidator(
        _logit_bias,
        json_schema_input_type=dict[str, float | bool]
        | list[list[int | str | float | bool]]
        | None,
    ),
]
"""``logit_bias``: tokens, by id or text, and what is added to their logits."""

Samplers = Annotated[
    frozenset[str] | None,
    PlainValidator(_samplers, json_schema_input_type=list[str] | str | None),
]
"""``samplers``: those that are used; the order is this server's own."""
