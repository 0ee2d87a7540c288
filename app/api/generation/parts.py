"""Parts of a request that come in several kinds, told apart by their ``type``."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError

from codeserve.app.edge.validation import field_path, wrong_type
from codeserve.engines.errors import InvalidRequest, UnsupportedFeature

Location = tuple[str | int, ...]
"""Where in a request's body something lies, such as ``("messages", 0, "content")``."""

Part = TypeVar("Part", bound=BaseModel)


class TextPart(BaseModel):
    """A piece of text."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: str
    text: str


def read_part(kind: type[Part], value: object, at: Location) -> Part:
    """``value`` as a ``kind``. Raises RequestValidationError, which names where it lies."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        details = [{**detail, "loc": ("body", *at, *detail["loc"])} for detail in error.errors()]
        raise RequestValidationError(details) from error


def kind_of(
    kinds: Mapping[str, type[Part]], value: Any, at: Location, default: str = ""
) -> type[Part]:
    """Which of ``kinds`` the object ``value`` is by its ``type``; without one, the ``default``.

    Raises InvalidRequest for what is no object or has no type, and UnsupportedFeature for another
    type.
    """
    if not isinstance(value, dict):
        raise wrong_type(field_path(at), "an object", value)
    name, where = value.get("type") or default, field_path((*at, "type"))
    if not name:
        raise InvalidRequest(
            f"Missing required parameter: '{where}'.",
            param=where,
            code="missing_required_parameter",
        )
    if not isinstance(name, str) or name not in kinds:
        raise UnsupportedFeature(
            f"'{where}' is {name!r}, but this server takes {' and '.join(map(repr, kinds))} there.",
            param=where,
            code="invalid_value",
        )
    return kinds[name]


def read_all(
    kinds: Mapping[str, type[Part]], value: Any, at: Location, default: str = ""
) -> list[Part]:
    """An array of parts, each of what its ``type`` says.

    Raises what ``kind_of`` and ``read_part`` raise, and InvalidRequest for what is no array.
    """
    if not isinstance(value, list):
        raise wrong_type(field_path(at), "an array", value)
    places = [(*at, index) for index in range(len(value))]
    return [
        read_part(kind_of(kinds, part, place, default), part, place)
        for place, part in zip(places, value, strict=True)
    ]


def read_text(types: Collection[str], value: Any, at: Location) -> str:
    """A text, or an array of parts of one of ``types``, joined in order.

    Raises what ``read_all`` raises.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise wrong_type(field_path(at), "a string or an array of text parts", value)
    return "".join(part.text for part in read_all(dict.fromkeys(types, TextPart), value, at))
