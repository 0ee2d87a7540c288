from typing import Any

from codeserve.engines.subschemas import objects_in, rewritten


def marked(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "x": True}


def test_schemas_are_rewritten_from_the_inside_out() -> None:
    schema = {"items": {"type": "string"}, "anyOf": [{"type": "null"}]}
    assert rewritten(schema, marked) == {
        "items": {"type": "string", "x": True},
        "anyOf": [{"type": "null", "x": True}],
        "x": True,
    }


def test_names_of_properties_are_no_keywords() -> None:
    schema: dict[str, Any] = {"properties": {"enum": {}, "properties": {}}, "$defs": {"a": {}}}
    assert rewritten(schema, marked) == {
        "properties": {"enum": {"x": True}, "properties": {"x": True}},
        "$defs": {"a": {"x": True}},
        "x": True,
    }


def test_data_is_no_schema() -> None:
    schema = {"enum": [{"a": 1}], "const": {"b": 2}, "default": {}}
    assert rewritten(schema, lambda found: found) == schema
    assert rewritten(schema, marked) == {**schema, "x": True}


def test_every_object_is_found() -> None:
    assert list(objects_in([{"a": {"b": 1}}, 2])) == [{"a": {"b": 1}}, {"b": 1}]
