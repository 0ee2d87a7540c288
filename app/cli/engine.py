"""``codeserve engine``: which engines can load a model, and why others cannot."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Annotated, Any
from urllib.parse import quote

import typer

from codeserve.app.cli.failure import USAGE_ERROR, fail
from codeserve.app.cli.options import DEFAULT_URL, ApiKey, AsJson, Url

Match = Mapping[str, Any]


def engine(  # noqa: PLR0913 - the command's options
    model_name: Annotated[str, typer.Option("--model-name", "-n", help="A family.")],
    model_engine: Annotated[
        str | None, typer.Option("--model-engine", "-en", help="Only this engine.")
    ] = None,
    size_in_billions: Annotated[
        str | None, typer.Option("--size-in-billions", "-s", help="Only this size.")
    ] = None,
    model_format: Annotated[
        str | None, typer.Option("--model-format", "-f", help="Only this format.")
    ] = None,
    quantization: Annotated[
        str | None, typer.Option("--quantization", "-q", help="Only this quantisation.")
    ] = None,
    endpoint: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show which engines of a running server can load a model, and why others cannot."""
    from codeserve.app.cli.client import ServerClient
    from codeserve.app.cli.tables import print_json, print_table

    path = f"/v1/engines/LLM/{quote(model_name, safe='')}"
    with ServerClient(endpoint, api_key) as server:
        matches: Sequence[Match] = server.ask("GET", path, params={"detailed": "true"})
    wanted = {
        "engine": model_engine and model_engine.lower(),
        "model_size_in_billions": size_in_billions and size_in_billions.replace(".", "_"),
        "model_format": model_format,
        "quantization": quantization,
    }
    for key, value in wanted.items():
        if value is not None:
            matches = _among(matches, key, value)
    if as_json:
        print_json(matches)
    else:
        print_table(
            ("engine", "format", "size", "loads", "quantizations", "why not"), _rows(matches)
        )


def _among(matches: Sequence[Match], key: str, wanted: str) -> Sequence[Match]:
    """Those whose ``key`` is ``wanted``. The command ends if there are none."""
    found = [match for match in matches if str(match[key]) == wanted]
    if not found:
        there = dict.fromkeys(str(match[key]) for match in matches)
        near = sorted(there, key=lambda name: SequenceMatcher(None, wanted, name).ratio())
        what = key.removeprefix("model_").replace("_", " ")
        fail(f"no {what} is called {wanted!r}; there are {', '.join(near[::-1])}", USAGE_ERROR)
    return found


def _rows(matches: Iterable[Match]) -> Iterator[Sequence[str]]:
    """A row for the quantisations of a spec of which an engine says the same."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for match in matches:
        key = (
            match["engine"],
            match["model_format"],
            str(match["model_size_in_billions"]),
            "yes" if match["loads"] else "no",
            match["reason"] or "",
        )
        groups.setdefault(key, []).append(match["quantization"])
    for (name, form, size, loads, reason), quantizations in groups.items():
        yield name, form, size, loads, ", ".join(quantizations), reason
