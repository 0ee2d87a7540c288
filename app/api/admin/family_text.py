"""The definition of a family as a client may write it: TOML, or the same as JSON."""

import json
import tomllib
from collections.abc import Mapping
from typing import Any

from codeserve.app.edge.bodies import LONE_SURROGATE
from codeserve.engines.errors import InvalidRequest

FOREIGN = frozenset({"model_ability", "model_family", "model_lang", "model_specs", "version"})
"""Keys of Xinference's own definitions."""


def family_text(definition: str) -> str:
    """``definition`` as TOML. Raises InvalidRequest for what is neither, and for a definition in
    Xinference's own words."""
    if not definition.lstrip().startswith("{"):
        _refuse_foreign(_parse_toml(definition))
        return definition
    try:
        fields = json.loads(definition)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"The family's definition is no JSON: {error}", param="model"
        ) from error
    _refuse_foreign(fields)
    pairs = (f"{_scalar(name)} = {_value(one)}\n" for name, one in _present(fields).items())
    return "".join(pairs)


def _parse_toml(definition: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(definition)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"The family's definition is no TOML: {error}. Send the text of a family file, or the "
            "same as JSON.",
            param="model",
        ) from error


def _refuse_foreign(fields: Mapping[str, Any]) -> None:
    foreign = sorted(FOREIGN & fields.keys())
    if foreign:
        raise InvalidRequest(
            f"This is a definition in Xinference's words ({', '.join(foreign)}). This server "
            "takes a family file of its own, as TOML or as JSON, with model_name, description, "
            "languages, abilities, variants and specs: its documentation has a recipe.",
            param="model",
        )


def _value(value: Any) -> str:
    match value:
        case dict():
            pairs = (f"{_scalar(name)} = {_value(one)}" for name, one in _present(value).items())
            return f"{{{', '.join(pairs)}}}"
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case None:
            raise InvalidRequest("A list of the family's definition holds null.", param="model")
        case _:
            return _scalar(value)


def _scalar(value: object) -> str:
    """JSON's scalars are TOML's, but for one character and for halves of surrogate pairs."""
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if not text.isascii() and LONE_SURROGATE.search(text):
        raise InvalidRequest("The definition holds half a surrogate pair.", param="model")
    return text


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is not null, for which TOML has no word."""
    return {name: value for name, value in fields.items() if value is not None}
