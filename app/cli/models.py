"""``codeserve models``: what can be served."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeserve.app.cli.failure import USAGE_ERROR, fail
from codeserve.app.cli.tables import print_json, print_table
from codeserve.model_specs.errors import SpecError, UnknownSpec

if TYPE_CHECKING:
    from codeserve.model_specs.catalog import Catalog
    from codeserve.model_specs.spec import ModelFamily, ModelSpec

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

models_app = typer.Typer(help="Show the models that can be served.")


@models_app.callback(invoke_without_command=True)
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """List the families of the catalogue."""
    if context.invoked_subcommand is not None:
        return
    families = [_family_row(family) for family in _load_catalog().families]
    if as_json:
        print_json(families)
        return
    columns = ("model_name", "sizes", "formats", "abilities", "description")
    print_table(columns, [[_cell(row[column]) for column in columns] for row in families])


@models_app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="Name of a family.")], as_json: AsJson = False
) -> None:
    """Show every spec of one family: formats, quantisations, engines, hubs, sizes."""
    try:
        family = _load_catalog().family(name)
    except UnknownSpec as error:
        fail(error.message, USAGE_ERROR)
    specs = [_spec_row(family, spec) for spec in family.specs]
    if as_json:
        print_json({**_family_row(family), "specs": specs})
        return
    columns = ("size", "format", "context", "quantizations", "engines", "hubs")
    print_table(columns, [[_cell(row[column]) for column in columns] for row in map(_mark, specs)])
    typer.echo("* is the default.")
    files = [
        [row["size"], file["quantization"], _gigabytes(file, "file_gb"), _gigabytes(file, "ram_gb")]
        for row in specs
        for file in row["files"]
    ]
    if files:
        typer.echo()
        print_table(("size", "GGUF quantization", "file (GB)", "RAM (GB)"), files)
        typer.echo(
            "RAM is for a small context without GPU offload; ~ is an estimate from the number of "
            "parameters."
        )


def _load_catalog() -> "Catalog":
    from codeserve.app.registrations import load_catalog
    from codeserve.app.setting_problems import SettingsError
    from codeserve.app.settings import Settings

    try:
        return load_catalog(Settings.load().server)
    except (SettingsError, SpecError) as error:
        fail(str(error), USAGE_ERROR)


def _family_row(family: "ModelFamily") -> dict[str, Any]:
    return {
        "model_name": family.model_name,
        "description": family.description,
        "abilities": list(family.abilities),
        "sizes": list(dict.fromkeys(spec.size_in_billions for spec in family.specs)),
        "formats": list(dict.fromkeys(str(spec.model_format) for spec in family.specs)),
    }


def _spec_row(family: "ModelFamily", spec: "ModelSpec") -> dict[str, Any]:
    sizes = {name: family.file_size(spec, name) for name in spec.quantizations}
    return {
        "size": spec.size_in_billions,
        "format": str(spec.model_format),
        "context": family.variant(spec.variant).context_length,
        "quantizations": list(spec.quantizations),
        "default_quantization": spec.default_quantization,
        "engines": list(spec.engines),
        "hubs": {str(source.hub): source.model_id for source in spec.sources},
        "files": [
            {
                "quantization": name,
                "file_gb": round(size.gigabytes, 2),
                "ram_gb": round(size.ram_gigabytes, 2),
                "exact": size.exact,
            }
            for name, size in sizes.items()
            if size is not None
        ],
    }


def _mark(row: dict[str, Any]) -> dict[str, Any]:
    """``row`` with a star at the default quantisation."""
    default = row["default_quantization"]
    names = [f"{name}*" if name == default else name for name in row["quantizations"]]
    return {**row, "quantizations": names}


def _gigabytes(file: dict[str, Any], key: str) -> str:
    return f"{'' if file['exact'] else '~'}{file[key]:.2f}"


def _cell(value: object) -> str:
    return ", ".join(value) if isinstance(value, list | dict) else str(value)
