"""Writes settings.md, the reference of all settings, from the settings models."""

import ast
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings

PAGE = Path(__file__).with_name("settings.md")

INTRODUCTION = """\
# Settings

Every key of the config file. [Configuration](configuration.md) explains by topic what they are for.
`make settings` writes this page from the code; do not edit it.
"""


def reference() -> str:
    """The whole page."""
    server = _table(ServerSettings, ServerSettings.model_config.get("env_prefix"))
    models = _table(ModelSettings, None)
    return "\n".join(
        (
            INTRODUCTION,
            "## `[server]`\n",
            "The environment wins over the file. Options of `codeserve serve` win over both.\n",
            *server,
            "\n## `[[models]]`\n",
            "One table a model. Set either `model_name` or `path`; the rest may be left out.\n",
            *models,
            "",
        )
    )


def _table(settings: type[BaseModel], prefix: str | None) -> list[str]:
    """The rows of a table, with the variables of the environment where they have a ``prefix``."""
    schema = settings.model_json_schema()
    meanings = docstrings(settings)
    columns = ["key", "type", "default", *(["environment"] if prefix else []), "meaning"]
    rows = [columns, ["---"] * len(columns)]
    for key, field in schema["properties"].items():
        variable = [f"`{prefix}{key.upper()}`"] if prefix else []
        meaning = meanings.get(key, "").replace("``", "`").replace("None:", "unset:")
        kind = type_in_words(field, schema.get("$defs", {}))
        rows.append([f"`{key}`", kind, _default(field), *variable, meaning])
    return [f"| {' | '.join(row)} |" for row in rows]


def docstrings(settings: type[BaseModel]) -> dict[str, str]:
    """The text below each field, in one line. Pydantic could read it, but only when it makes the
    class, and so at each start of the server."""
    [definition] = ast.parse(inspect.getsource(settings)).body
    assert isinstance(definition, ast.ClassDef)
    texts = {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(written))),
            ):
                texts[name] = " ".join(written.split())
    return texts


def type_in_words(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a value of a JSON schema may be."""
    match field:
        case {"$ref": str(reference)}:
            return type_in_words(definitions[reference.rpartition("/")[2]], definitions)
        case {"anyOf": list(choices)}:
            kinds = (type_in_words(choice, definitions) for choice in choices)
            return " or ".join(kind for kind in kinds if kind)
        case {"enum": list(values)}:
            return ", ".join(f"`{json.dumps(value)}`" for value in values)
        case {"const": value}:
            return f"`{json.dumps(value)}`"
        case {"type": "array", "items": items}:
            return f"list: {type_in_words(items, definitions)}"
        case {"type": "string", "pattern": _}:
            return "size"
        case {"type": "string", "format": "path"}:
            return "path"
    names = {"boolean": "`true`, `false`", "object": "table", "string": "text", "null": ""}
    kind = str(field["type"])
    return f"{names.get(kind, kind)}{_range(field)}"


def _range(field: Mapping[str, Any]) -> str:
    match field:
        case {"minimum": least, "maximum": most}:
            return f" from {least} to {most}"
        case {"minimum": least}:
            return f" from {least}"
        case {"exclusiveMinimum": bound}:
            return f" above {bound}"
    return ""


def _default(field: Mapping[str, Any]) -> str:
    match field.get("default", ""):
        case None:
            return "unset"
        case "":
            return ""
        case value:
            return f"`{json.dumps(value)}`"


if __name__ == "__main__":
    PAGE.write_text(reference())
