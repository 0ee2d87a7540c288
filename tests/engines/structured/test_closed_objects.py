from typing import Any

import pytest

from codeserve.engines.structured.closed_objects import closed

NAME: dict[str, Any] = {"properties": {"name": {"type": "string"}}}
CLOSED = NAME | {"additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (NAME, CLOSED),
        ({"type": "array", "items": NAME}, {"type": "array", "items": CLOSED}),
        ({"anyOf": [NAME, {"type": "null"}]}, {"anyOf": [CLOSED, {"type": "null"}]}),
        ({"$defs": {"properties": NAME}}, {"$defs": {"properties": CLOSED}}),
        (
            {"properties": {"properties": NAME}},
            {"properties": {"properties": CLOSED}, "additionalProperties": False},
        ),
    ],
)
def test_objects_that_list_their_properties_are_closed(
    schema: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert closed(schema) == expected


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        NAME | {"additionalProperties": True},
        NAME | {"additionalProperties": {"type": "integer"}},
        NAME | {"required": ["other"]},
        NAME | {"minProperties": 2},
        NAME | {"$ref": "#/$defs/a"},
        {"allOf": [NAME, {"properties": {"age": {}}}]},
        {"$defs": {"a": NAME}, "allOf": [{"$ref": "#/$defs/a"}]},
        {"enum": [{"properties": {}}]},
        {"const": {"properties": {}}},
    ],
)
def test_what_speaks_of_other_properties_or_is_no_schema_stays(schema: dict[str, Any]) -> None:
    assert closed(schema) == schema
