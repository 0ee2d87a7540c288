"""Family files on their way from one machine to another, in a bundle."""

import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from codeserve.app.durable_file import write_durably
from codeserve.app.registrations import Registrations
from codeserve.model_specs.catalog import SHIPPED, Catalog
from codeserve.model_specs.errors import SpecError
from codeserve.model_specs.family_file import read_family

SUPPORT = ("vocabularies", "templates")
"""Folders beside family files, of what they name."""


def collect(path: Path) -> dict[str, str]:
    """A family file and the files of its own folder that it names: text by relative name."""
    text = path.read_text(encoding="utf-8")
    found = {path.name: text}
    for variant in tomllib.loads(text).get("variants", []):
        fields: dict[str, Any] = dict(variant)
        vocabulary = path.parent / "vocabularies" / f"{fields.get('vocabulary')}.toml"
        if vocabulary.is_file():
            found[f"vocabularies/{vocabulary.name}"] = vocabulary.read_text(encoding="utf-8")
            fields = tomllib.loads(found[f"vocabularies/{vocabulary.name}"]) | fields
        template = path.parent / "templates" / str(fields.get("chat_template"))
        if "{" not in template.name and template.is_file():
            found[f"templates/{template.name}"] = template.read_text(encoding="utf-8")
    return found


def check(definitions: Mapping[str, str], catalog: Catalog, folder: Path) -> dict[str, str]:
    """The family files that ``catalog`` lacks, by the family's name.

    Raises SpecError for one that is not sound, and for a name that means something else here, of
    a family or of a file in ``folder``.
    """
    missing = {}
    with TemporaryDirectory() as temporary:
        for name, text in definitions.items():
            _check_place(name)
            path = Path(temporary, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if _is_support(name):
                _check_same(folder / name, text)
        for name, text in definitions.items():
            if not _is_support(name):
                family = read_family(Path(temporary, name), SHIPPED)
                known = {one.model_name: one for one in catalog.families}.get(family.model_name)
                if known is None:
                    missing[family.model_name] = text
                elif known != family:
                    raise SpecError(
                        f"{catalog.file(family.model_name)}: {family.model_name} is another family "
                        "here than in the bundle. Unregister it, or rename one of them."
                    )
    return missing


def install(definitions: Mapping[str, str], catalog: Catalog, folder: Path) -> tuple[str, ...]:
    """Register the family files that ``catalog`` lacks; the names of their families.

    Raises SpecError, as ``check`` does, and where a file cannot be written.
    """
    missing = check(definitions, catalog, folder)
    try:
        for name, text in definitions.items():
            if _is_support(name) and missing:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                write_durably(folder / name, text)
    except OSError as error:
        raise SpecError(f"{error.filename or folder}: {error.strerror}") from error
    registrations = Registrations(catalog, folder)
    return tuple(registrations.register(text).model_name for text in missing.values())


def _is_support(name: str) -> bool:
    return PurePosixPath(name).parent.name in SUPPORT


def _check_place(name: str) -> None:
    path = PurePosixPath(name)
    if str(path.parent) not in (".", *SUPPORT) or path.name.startswith("."):
        raise SpecError(f"{name} is no place for a file of a family.")


def _check_same(path: Path, text: str) -> None:
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise SpecError(f"{path}: the bundle has another file of that name.")
