"""What ``codeserve doctor`` says of the configuration: each value and where it came from."""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.app.settings import Settings

SECRET = re.compile(r"(^|_)(token|secret|password|(api_?)?keys?)$", re.IGNORECASE)
HIDDEN = "(set, not shown)"


def settings_report(settings: Settings, config: Path | None, given: bool) -> dict[str, Any]:
    """The values of ``settings``, which ``config`` and the environment have made.

    ``given``: its models are the command line's.
    """
    file = {} if config is None else tomllib.loads(config.read_text(encoding="utf-8"))
    tables = file.get("models", [])
    origin = f"config file {config}"
    return {
        "server": dict(_server(settings.server, file.get("server", {}), origin)),
        "models": [
            dict(_model(model, None, "command line"))
            if given
            else dict(_model(model, tables[number] if tables else {}, origin))
            for number, model in enumerate(settings.models)
        ],
    }


def settings_lines(report: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """A line for each value that is set."""
    return {
        name: f"{_text(one['value'])}  ({one['origin']})"
        for name, one in report.items()
        if one["value"] is not None
    }


def _server(
    server: ServerSettings, table: Mapping[str, Any], origin: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    environment = {name.upper() for name in os.environ}
    for name, value in server.model_dump(mode="json").items():
        variable = f"CODESERVE_{name}".upper()
        came = "default"
        if variable in environment:
            came = f"environment variable {variable}"
        elif name in table:
            came = origin
        yield name, _entry(name, value, came)


def _model(
    model: ModelSettings, table: Mapping[str, Any] | None, origin: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """``table``: what ``origin`` has set; None: all that is set."""
    written = model.model_fields_set if table is None else set(table)
    for name, value in model.model_dump(mode="json").items():
        if name == "options":
            for option, setting in value.items():
                yield f"options.{option}", _entry(option, setting, origin)
        else:
            given = name in written and value is not None
            yield name, _entry(name, value, origin if given else "default")


def _entry(name: str, value: Any, origin: str) -> dict[str, Any]:
    secret = SECRET.search(name) is not None and value is not None
    return {"value": HIDDEN if secret else value, "origin": origin}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
