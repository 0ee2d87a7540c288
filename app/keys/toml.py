"""Writing TOML, which the standard library only reads."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime


def toml_table(name: str, values: Mapping[str, object]) -> str:
    """``values`` as one table of the array ``name``."""
    lines = (f"{key} = {_value(value)}\n" for key, value in values.items())
    return f"[[{name}]]\n{''.join(lines)}"


def _value(value: object) -> str:
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat(timespec="seconds")
        case int() | float():
            return repr(value)
        case Iterable():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            raise TypeError(f"{type(value).__name__} is no type of TOML's")
