"""Objects of a JSON schema, closed to properties that the schema does not name."""

from codeserve.engines.subschemas import Schema, objects_in, rewritten

SPEAKS_OF_OTHERS = {
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "dependentSchemas",
    "minProperties",
    "oneOf",
    "patternProperties",
    "unevaluatedProperties",
}
"""By these an object may have, or need, properties that ``properties`` does not list."""


def closed(schema: Schema) -> Schema:
    """``schema`` with ``additionalProperties: false`` in each object that lists its properties and
    does not speak of others.

    What fits it fits ``schema``. A model that may invent properties goes on inventing them, which
    is seldom meant by a schema that only does not forbid it. A schema that joins others by
    ``allOf`` stays as it is, since each part must leave room for the properties of the rest.
    """
    if any("allOf" in node for node in objects_in(schema)):
        return schema
    return rewritten(schema, _closed)


def _closed(schema: Schema) -> Schema:
    listed, needed = schema.get("properties"), schema.get("required", [])
    if (
        isinstance(listed, dict)
        and isinstance(needed, list)
        and all(name in listed for name in needed)
        and not SPEAKS_OF_OTHERS & schema.keys()
    ):
        return {**schema, "additionalProperties": False}
    return schema
