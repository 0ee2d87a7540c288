"""What is wrong with a configuration, in sentences that name the place and what is allowed."""

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import ErrorDetails


class SettingsError(ValueError):
    """The configuration is invalid; the message says where, why and what is allowed."""


Tables = Mapping[str, type[BaseModel]]
"""The settings of each table of the file by its name; the file's own have an empty one."""


def explain(error: ErrorDetails, file: Path | None, tables: Tables) -> str:
    """One sentence on one validation error of ``file``, or of the environment: where, what is
    wrong, what is allowed."""
    *parents, key = error["loc"] or ("",)
    variable = f"CODESERVE_{key}".upper()
    server = tables.get("server")
    in_server = server is not None and key in server.model_fields and "models" not in parents
    if in_server and variable in os.environ:
        return f"{variable}: {_problem(error)}"
    source = f"{file}: " if file else ""
    place = f"{source}{_table(parents)}"
    match error["type"]:
        case "extra_forbidden":
            return f"{place}unknown key {key!r}. {_valid_keys(parents, str(key), tables)}"
        case "model_origin" | "duplicate_id" | "no_room_for_a_body":
            return f"{source}{_table(error['loc'])}{error['msg']}"
        case "tuple_type" | "model_type" if "models" in error["loc"]:
            return f"{place}models: write one [[models]] table for each model"
        case "model_type":
            return f"{place}{key}: write a [{key}] table"
        case _:
            return f"{place}{key}: {_problem(error)}"


def _problem(error: ErrorDetails) -> str:
    message = error["msg"]
    return f"{message[:1].lower()}{message[1:]}, but {error['input']!r} was given"


def _table(location: Iterable[int | str]) -> str:
    """The TOML name of the table at ``location``; the models count from 1."""
    match tuple(location):
        case ("models", int(index), *_):
            return f"[[models]] number {index + 1}: "
        case ("models",):
            return ""
        case (str(name), *_):
            return f"[{name}]: "
        case _:
            return ""


def _valid_keys(parents: list[int | str], key: str, tables: Tables) -> str:
    owner = tables.get(str(parents[0]), tables[""]) if parents else tables[""]
    valid = sorted(owner.model_fields)
    near = get_close_matches(key, valid, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Valid keys: {', '.join(valid)}"
