"""What must happen to a running server's models so that they become those of a config file."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from codeserve.app.launch_request import LaunchRequest
from codeserve.app.model_settings import ModelSettings
from codeserve.app.setting_problems import SettingsError

FAILED = "failed"


class Action(StrEnum):
    """What happens to one model."""

    TERMINATE = "terminate"
    """It runs and the file does not name it."""
    LAUNCH = "launch"
    """The file names it and it is not there."""
    REPLACE = "replace"
    """It runs with other settings: it is terminated and launched."""
    RETRY = "retry"
    """Its settings are the file's, but it has failed."""
    PIN = "pin"
    """Its settings are the file's but for ``pinned``, which a running model can become."""
    UNPIN = "unpin"

    @property
    def launches(self) -> bool:
        """Whether the model is launched."""
        return self in (Action.LAUNCH, Action.REPLACE, Action.RETRY)


class Running(msgspec.Struct, frozen=True):
    """A model of the server: its id, the settings that it was launched with, and its state."""

    id: str
    spec: Mapping[str, Any]
    state: str


class Difference(msgspec.Struct, frozen=True):
    """One setting as it is and as it shall be; None is the default."""

    now: Any
    wanted: Any


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What must happen to one model, and why."""

    id: str
    action: Action
    fields: Mapping[str, Difference] = {}


def changes(
    wanted: Sequence[ModelSettings], running: Sequence[Running], *, prune: bool = False
) -> tuple[Change, ...]:
    """The changes in the order in which to make them: what makes room first, then as in the file.

    ``prune``: models that are not ``wanted`` are terminated; else they are left alone, as those
    that are as they shall be always are.
    """
    names = {model.id for model in wanted}
    there = {model.id: model for model in running}
    surplus = [model.id for model in running if model.id not in names] if prune else []
    return (
        *(Change(id=model_id, action=Action.TERMINATE) for model_id in surplus),
        *(change for model in wanted for change in _change(model, there.get(model.id))),
    )


def launch_body(model: ModelSettings) -> dict[str, Any]:
    """The launch request for ``model``.

    Raises SettingsError for an interpreter, which only the server's operator may choose, and for
    an engine's option whose name means something else in a request.
    """
    settings: dict[str, Any] = model.model_dump(mode="json", exclude_defaults=True)
    options = settings.pop("options", {})
    unsendable = sorted(options.keys() & LaunchRequest.model_fields.keys())
    unsendable += ["engine_python"] if "engine_python" in settings else []
    if unsendable:
        raise SettingsError(
            f"{model.id}: {unsendable[0]} cannot be sent to a running server; start the server "
            "with this file instead"
        )
    if model.path is not None:
        settings["model_name"] = settings.pop("family", None)
    body = {_REQUEST_NAMES.get(name, name): value for name, value in settings.items()}
    return {**body, **options}


_REQUEST_NAMES = {
    "id": "model_uid",
    "engine": "model_engine",
    "size_in_billions": "model_size_in_billions",
    "path": "model_path",
}


def _change(model: ModelSettings, there: Running | None) -> Iterator[Change]:
    if there is None:
        yield Change(id=model.id, action=Action.LAUNCH)
        return
    fields = _differences(_normal(there.spec), _dump(model))
    if fields.keys() == {"pinned"} and there.state != FAILED:
        action = Action.PIN if model.pinned else Action.UNPIN
        yield Change(id=model.id, action=action, fields=fields)
    elif fields:
        yield Change(id=model.id, action=Action.REPLACE, fields=fields)
    elif there.state == FAILED:
        yield Change(id=model.id, action=Action.RETRY)


def _differences(now: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Difference]:
    """By the name of the setting; an engine's option is ``options.NAME``."""
    names = dict.fromkeys([*now, *wanted])
    return {
        name: Difference(now.get(name), wanted.get(name))
        for name in names
        if now.get(name) != wanted.get(name)
    }


def _normal(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a server tells of a model, as ``_dump`` would write it; unknown settings stay."""
    try:
        return _dump(ModelSettings.read(spec))
    except SettingsError:
        return _flat(spec)


def _dump(model: ModelSettings) -> dict[str, Any]:
    return _flat(model.model_dump(mode="json", exclude_defaults=True))


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    options = settings.get("options") or {}
    plain = {name: value for name, value in settings.items() if name != "options"}
    return plain | {f"options.{name}": value for name, value in options.items()}
