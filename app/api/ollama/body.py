"""What requests of this dialect share.

Unknown fields of a request pass, and null stands for every optional field's default.
"""

from typing import Annotated, Any

from pydantic import AliasChoices, Field, PlainValidator
from pydantic_core import PydanticCustomError

from codeserve.app.api.generation.output_form import json_object, json_schema
from codeserve.app.api.openai.base_body import Body
from codeserve.app.edge.validation import json_type
from codeserve.engines.types import Grammar


class ModelBody(Body):
    """A request about one model."""

    model: Annotated[str, Field(min_length=1, validation_alias=AliasChoices("model", "name"))]
    """An older name of the field is ``name``."""


def _form(value: Any) -> Grammar | None:
    if value is None or value == "":
        return None
    if value == "json":
        return json_object()
    if isinstance(value, dict):
        return json_schema(value)
    raise PydanticCustomError(
        "invalid_value",
        'expected "json" or a JSON schema, but it is {actual}.',
        {"actual": repr(value) if isinstance(value, str) else json_type(value)},
    )


OutputForm = Annotated[
    Grammar | None, PlainValidator(_form, json_schema_input_type=str | dict[str, Any] | None)
]
"""``format``: ``"json"`` or a JSON schema."""
