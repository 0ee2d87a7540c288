"""``codeserve diff`` and ``codeserve apply``: a running server's models and a config file's."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeserve.app.cli.failure import INTERRUPTED, RUNTIME_ERROR, USAGE_ERROR, fail
from codeserve.app.cli.options import DEFAULT_URL, ApiKey, AsJson, EventsAsJson, Url

if TYPE_CHECKING:
    from codeserve.app.cli.client import ServerClient
    from codeserve.app.desired_state import Change, Running
    from codeserve.app.model_settings import ModelSettings

DIFFERENT = 1

ConfigFile = Annotated[
    Path, typer.Option("--file", "-f", help="Config file (TOML) with [[models]] tables.")
]
Prune = Annotated[
    bool, typer.Option("--prune", help="Terminate the models that the file does not name.")
]


def diff(
    file: ConfigFile,
    prune: Prune = False,
    endpoint: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show what `apply` would change: exit code 0 for nothing, 1 for something, 2 for an error."""
    from codeserve.app.cli.client import ServerClient

    wanted = _wanted(file)
    try:
        with ServerClient(endpoint, api_key) as server:
            running = _running(server)
    except typer.Exit as error:
        raise typer.Exit(USAGE_ERROR) from error
    found = _plan(file, wanted, running, prune=prune, as_json=as_json)
    raise typer.Exit(DIFFERENT if found else 0)


def apply(
    file: ConfigFile,
    prune: Prune = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change and change nothing.")
    ] = False,
    endpoint: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: EventsAsJson = False,
) -> None:
    """Make a running server's models those of a config file; equal ones go on undisturbed."""
    from codeserve.app.cli.client import ServerClient

    wanted = _wanted(file)
    with ServerClient(endpoint, api_key) as server:
        running = _running(server)
        found = _plan(file, wanted, running, prune=prune, as_json=as_json)
        bodies = _bodies(file, found, wanted)
        specs = {model.id: model.spec for model in running}
        if not dry_run and not _make(server, found, bodies, specs, as_json=as_json):
            raise typer.Exit(RUNTIME_ERROR)


def _wanted(file: Path) -> Sequence["ModelSettings"]:
    """The models of ``file``; the command ends where they make no sense."""
    from codeserve.app.setting_problems import SettingsError
    from codeserve.app.settings import Settings

    try:
        settings = Settings.load(file)
    except SettingsError as error:
        fail(str(error), USAGE_ERROR)
    if "models" not in settings.model_fields_set:
        fail(f"{file}: there are no [[models]]; write models = [] for none", USAGE_ERROR)
    return settings.models


def _running(server: "ServerClient") -> Sequence["Running"]:
    from codeserve.app.cli.client import path_of
    from codeserve.app.desired_state import Running

    running = []
    for card in server.ask("GET", "/v1/models")["data"]:
        details = server.ask("GET", path_of(card["id"]))
        if "spec" not in details:
            fail(f"{server.url} does not tell what its models were launched with")
        spec = {**details["spec"], "pinned": details["pinned"]}
        running.append(Running(details["id"], spec, details["state"]))
    return running


def _plan(
    file: Path,
    wanted: Sequence["ModelSettings"],
    running: Sequence["Running"],
    *,
    prune: bool,
    as_json: bool,
) -> Sequence["Change"]:
    """What must change, shown."""
    import msgspec

    from codeserve.app.cli.tables import print_json_line
    from codeserve.app.desired_state import changes

    found = changes(wanted, running, prune=prune)
    names = {model.id for model in wanted}
    others = [] if prune else [model.id for model in running if model.id not in names]
    if as_json:
        plan = {"changes": msgspec.to_builtins(found), "left_alone": others}
        print_json_line({"event": "plan", **plan})
        return found
    for change in found:
        typer.echo(_described(change))
    for model_id in others:
        typer.echo(f"{model_id} is not in {file} and stays; --prune terminates it")
    if not found:
        typer.echo(f"Nothing to change: the models are as {file} says.")
    return found


def _described(change: "Change") -> str:
    def text(value: object) -> str:
        return "default" if value is None else json.dumps(value, ensure_ascii=False)

    lines = [f"{change.action} {change.id}"]
    lines += [
        f"  {name}: {text(field.now)} -> {text(field.wanted)}"
        for name, field in change.fields.items()
    ]
    return "\n".join(lines)


def _bodies(
    file: Path, found: Sequence["Change"], wanted: Sequence["ModelSettings"]
) -> Mapping[str, Mapping[str, Any]]:
    """The launch requests by model; the command ends where one cannot be made."""
    from codeserve.app.desired_state import launch_body
    from codeserve.app.setting_problems import SettingsError

    launched = {change.id for change in found if change.action.launches}
    try:
        return {model.id: launch_body(model) for model in wanted if model.id in launched}
    except SettingsError as error:
        fail(f"{file}: {error}", USAGE_ERROR)


def _make(
    server: "ServerClient",
    found: Sequence["Change"],
    bodies: Mapping[str, Mapping[str, Any]],
    specs: Mapping[str, Mapping[str, Any]],
    *,
    as_json: bool,
) -> bool:
    """Make all changes; whether all of them worked. One that does not holds up no other."""
    from codeserve.app.cli.following import follow_job

    launched: list[Mapping[str, Any]] = []
    worked = True
    for change in found:
        try:
            launched += _change(server, change, bodies.get(change.id), specs.get(change.id))
        except typer.Exit:
            worked = False
    for answer in launched:
        try:
            model = follow_job(server, answer, as_json=as_json)
            if not as_json:
                typer.echo(f"{model['id']} is {model['state']}")
        except typer.Exit as error:
            if error.exit_code == INTERRUPTED:
                raise
            worked = False
    return worked


def _change(
    server: "ServerClient",
    change: "Change",
    body: Mapping[str, Any] | None,
    spec: Mapping[str, Any] | None,
) -> Sequence[Mapping[str, Any]]:
    """Make one change; the server's answers to launches. What cannot be replaced is put back."""
    from codeserve.app.cli.client import path_of
    from codeserve.app.desired_state import Action

    if change.action in (Action.PIN, Action.UNPIN):
        server.ask("POST", f"{path_of(change.id)}/{change.action}")
    if change.action in (Action.TERMINATE, Action.REPLACE):
        server.ask("DELETE", path_of(change.id))
    if body is None:
        return []
    try:
        return [_launch(server, body)]
    except typer.Exit:
        if spec is not None and change.action is Action.REPLACE:
            typer.echo(f"{change.id} is launched as it was before.", err=True)
            _launch(server, _former(spec))
        raise


def _launch(server: "ServerClient", body: Mapping[str, Any]) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = server.ask("POST", "/v1/models", body, {"wait_ready": "false"})
    return answer


def _former(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request that launches a model as it was; the command ends where there is none."""
    from codeserve.app.desired_state import launch_body
    from codeserve.app.model_settings import ModelSettings
    from codeserve.app.setting_problems import SettingsError

    try:
        return launch_body(ModelSettings.read(spec))
    except SettingsError as error:
        fail(str(error))
