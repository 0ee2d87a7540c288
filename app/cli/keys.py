"""``codeserve keys``: the file of API keys."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codeserve.app.cli.failure import USAGE_ERROR, fail
from codeserve.app.cli.options import AsJson
from codeserve.engines.types import Lane

if TYPE_CHECKING:
    from codeserve.app.keys.key import ApiKey, KeyScope

keys_app = typer.Typer(no_args_is_help=True, help="Make, show and revoke API keys.")

UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
COLUMNS = ("id", "name", "scopes", "models", "lane", "limits", "expires")

KeysFile = Annotated[
    Path, typer.Option("--keys", envvar="CODESERVE_KEYS", help="File of the keys (TOML).")
]


@keys_app.callback()
def _keys() -> None:
    """Make, show and revoke API keys. A running server sees it within a second."""


@keys_app.command()
def create(  # noqa: PLR0913 - the command's options
    name: Annotated[str, typer.Argument(help="Whose key it is; each has a name of its own.")],
    keys: KeysFile,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="Part of the server that it opens: inference, admin or metrics; may be given "
            "several times; default: inference.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Id of a model that it may use, or a pattern such as 'deepseek-*'; may be given "
            "several times; default: all.",
            show_default=False,
        ),
    ] = None,
    lane: Annotated[
        str, typer.Option(help="Best lane of its requests: interactive, normal or batch.")
    ] = "interactive",
    max_concurrency: Annotated[
        int | None, typer.Option(min=1, help="Requests at a time; default: any number.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Default: any number.")
    ] = None,
    tokens_per_minute: Annotated[
        int | None,
        typer.Option(min=1, help="Of prompts and answers together; default: any number."),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(help="When it ends: a time from now, such as 12h, 30d or 4w, or a date."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it. This is the only time it is shown: the file keeps its SHA-256."""
    from codeserve.app.cli.tables import print_json
    from codeserve.app.keys.key import ApiKey, digest_of, new_id, new_token

    token = new_token()
    key = ApiKey(
        id=new_id(),
        name=name,
        digest=digest_of(token),
        scopes=_scopes(scope or ["inference"]),
        models=tuple(model or ["*"]),
        lane=_lane(lane),
        max_concurrency=max_concurrency,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        created=_now(),
        expires=None if expires is None else _moment(expires),
    )
    _add(keys, key)
    if as_json:
        print_json({**_shown(key), "key": token})
        return
    typer.echo(token)
    typer.echo(f"{key.id} ({name}) is in {keys}; the key above is shown only now.", err=True)


@keys_app.command("list")
def list_keys(keys: KeysFile, as_json: AsJson = False) -> None:
    """Show the keys: who has them, and what they may."""
    from codeserve.app.cli.tables import print_json, print_table
    from codeserve.app.keys.key_file import KeyFileError, read_keys

    try:
        found = read_keys(keys).keys
    except KeyFileError as error:
        fail(str(error), USAGE_ERROR)
    if as_json:
        print_json([_shown(key) for key in found])
    else:
        print_table(COLUMNS, [_cells(key) for key in found])


@keys_app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Id or name of the key.")], keys: KeysFile
) -> None:
    """End a key: requests that run may finish, no other one gets in with it."""
    from codeserve.app.keys.key_file import KeyFileError, changing

    try:
        with changing(keys) as found:
            left = [one for one in found if key not in (one.id, one.name)]
            if left == found:
                names = ", ".join(one.name for one in found) or "none"
                fail(f"{keys} has no key {key!r}; there are {names}", USAGE_ERROR)
            found[:] = left
    except KeyFileError as error:
        fail(str(error), USAGE_ERROR)
    typer.echo(f"{key} is revoked")


def _add(path: Path, key: "ApiKey") -> None:
    from codeserve.app.keys.key_file import KeyFileError, changing

    try:
        with changing(path) as found:
            if key.name in {name for one in found for name in (one.id, one.name)}:
                fail(f"{path} has a key {key.name!r} already", USAGE_ERROR)
            found.append(key)
    except KeyFileError as error:
        fail(str(error), USAGE_ERROR)


def _scopes(names: list[str]) -> "frozenset[KeyScope]":
    from codeserve.app.keys.key import KeyScope

    try:
        return frozenset(map(KeyScope, names))
    except ValueError:
        fail(f"--scope takes {', '.join(KeyScope)}, not {', '.join(names)}", USAGE_ERROR)


def _lane(name: str) -> Lane:
    from codeserve.app.keys.key_file import LANES

    if name not in LANES:
        fail(f"--lane takes {', '.join(LANES)}, not {name!r}", USAGE_ERROR)
    return LANES[name]


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _moment(text: str) -> datetime:
    """``30d`` from now, or the date or time that ``text`` is."""
    if text[-1:] in UNITS and text[:-1].isdecimal():
        return _now() + int(text[:-1]) * UNITS[text[-1]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(
            f"--expires takes 12h, 30d, 4w, or a date such as 2030-12-31, not {text!r}", USAGE_ERROR
        )
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _shown(key: "ApiKey") -> dict[str, object]:
    """What there is to know of ``key``, for programs."""
    from codeserve.app.keys.key_file import key_fields

    return {name: _json(value) for name, value in key_fields(key).items() if name != "digest"}


def _json(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _cells(key: "ApiKey") -> tuple[str, ...]:
    limits = (
        (key.max_concurrency, "at a time"),
        (key.requests_per_minute, "requests/min"),
        (key.tokens_per_minute, "tokens/min"),
    )
    said = [f"{number} {what}" for number, what in limits if number is not None]
    ends = "never" if key.expires is None else f"{key.expires:%Y-%m-%d %H:%M}"
    return (
        key.id,
        key.name,
        ", ".join(sorted(key.scopes)),
        ", ".join(key.models),
        key.lane.name.lower(),
        ", ".join(said) or "none",
        f"{ends} (over)" if key.is_expired() else ends,
    )
