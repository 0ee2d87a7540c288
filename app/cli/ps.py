"""``codeserve ps``: what the models of a running server do and take."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from codeserve.app.cli.options import DEFAULT_URL, ApiKey, AsJson, Url

AWAY = ("failed", "stopped", "unloaded")
"""States in which nothing of a model is loaded, nor being loaded."""

COLUMNS = ("uid", "state", "phase", "memory", "running", "waiting", "replicas", "idle", "pinned")


def ps(endpoint: Url = DEFAULT_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show the models that are loaded or being loaded, and what they do and take."""
    from codeserve.app.cli.client import ServerClient
    from codeserve.app.cli.tables import print_json, print_table

    with ServerClient(endpoint, api_key) as server:
        models = server.ask("GET", "/v1/models")["data"]
    loaded = [model for model in models if model["state"] not in AWAY]
    if as_json:
        print_json(loaded)
    else:
        print_table(COLUMNS, [_cells(model, time.time()) for model in loaded])


def _cells(model: Mapping[str, Any], now: float) -> Sequence[str]:
    from rich.filesize import decimal

    percent = "" if model["progress"] is None else f" {model['progress']:.0%}"
    memory = model["memory_bytes"]
    return (
        model["id"],
        model["state"],
        "-" if model["phase"] == model["state"] else f"{model['phase']}{percent}",
        "-" if memory is None else decimal(memory),
        str(model["running"]),
        str(model["waiting"]),
        f"{model['replicas_ready']}/{model['replica']}",
        _idle(model, now),
        "yes" if model["pinned"] else "no",
    )


def _idle(model: Mapping[str, Any], now: float) -> str:
    """How long ago its last request ended."""
    if model["last_used"] is None or model["running"] or model["waiting"]:
        return "-"
    minutes, seconds = divmod(max(0, round(now - model["last_used"])), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
