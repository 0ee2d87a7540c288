"""Reads a family file: TOML, with the vocabulary and template files that it names."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from codeserve.model_specs.errors import SpecError
from codeserve.model_specs.family_checks import problems
from codeserve.model_specs.spec import ModelFamily, Variant

Table = dict[str, Any]


def read_family(path: Path, shipped: Path) -> ModelFamily:
    """The family of one file, checked.

    A variant may name a ``vocabulary``: the file ``vocabularies/NAME.toml`` holds fields of the
    variant that several share. The variant's own fields replace them, and its tables (such as
    ``control_tokens``) add to them. ``chat_template`` names a file in ``templates/``, or is the
    template itself if there is a ``{`` in it. Both folders are looked for beside ``path`` and in
    ``shipped``.

    Raises:
        SpecError: with the file, the place in it and what is allowed there.
    """
    return parse_family(_text(path), str(path), (path.parent, shipped))


def parse_family(text: str, source: str, folders: tuple[Path, ...]) -> ModelFamily:
    """The family that ``text`` defines, checked as ``read_family`` checks a file's.

    ``source`` names the text in errors; vocabularies and templates are looked for in ``folders``.

    Raises:
        SpecError: with ``source``, the place in it and what is allowed there.
    """
    family = _parse(text, source)
    variants = family.get("variants")
    if isinstance(variants, list):
        family["variants"] = [
            _complete(source, variant, family.get("model_name", ""), folders)
            if isinstance(variant, dict)
            else variant
            for variant in variants
        ]
    try:
        read = msgspec.convert(family, ModelFamily)
    except msgspec.ValidationError as error:
        raise SpecError(f"{source}: {_explain(str(error))}") from error
    found = problems(read)
    if found:
        raise SpecError(f"{source}: " + "; ".join(found))
    return read


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: {error}") from error


def _parse(text: str, source: str) -> Table:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{source}: {error}") from error


def _complete(source: str, variant: Table, family: object, folders: tuple[Path, ...]) -> Table:
    """The variant with its family's name, its vocabulary's fields and its template's source."""
    own = dict(variant)
    if "family" in own:
        raise SpecError(f"{source}: variants: `family` is the file's `model_name`; leave it out")
    fields: Table = {}
    if "vocabulary" in own:
        file = _find(source, "vocabularies", f"{own.pop('vocabulary')}.toml", folders)
        fields = _parse(_text(file), str(file))
    for name, value in own.items():
        both_tables = isinstance(value, dict) and isinstance(fields.get(name), dict)
        fields[name] = fields[name] | value if both_tables else value
    template = fields.get("chat_template")
    if isinstance(template, str) and "{" not in template:
        fields["chat_template"] = _text(_find(source, "templates", template, folders))
    return {**fields, "family": family}


def _find(source: str, kind: str, name: str, folders: tuple[Path, ...]) -> Path:
    """The file of that name, which may name no other folder."""
    files = [file for folder in folders for file in sorted((folder / kind).glob("*"))]
    for file in files:
        if file.name == name:
            return file
    known = sorted({file.name for file in files})
    raise SpecError(f"{source}: no file {kind}/{name}; there are {', '.join(known)}")


def _explain(error: str) -> str:
    """msgspec's message with the place first and with what is allowed there."""
    message, _, place = error.partition(" - at `$")
    place = place.rstrip("`").removeprefix(".")
    kind: inspect.Type | None = inspect.type_info(ModelFamily)
    for step in re.findall(r"\w+|\[[^]]*\]", place):
        kind = _inner(kind, step)
    allowed = ", ".join(_allowed(kind))
    return f"{place or 'family'}: {message}" + (f"; allowed are {allowed}" if allowed else "")


def _inner(kind: inspect.Type | None, step: str) -> inspect.Type | None:
    """The type of a field, an item or a table's value."""
    inner: inspect.Type | None = None
    if isinstance(kind, inspect.StructType):
        inner = next((field.type for field in kind.fields if field.name == step), None)
    elif isinstance(kind, inspect.VarTupleType):
        inner = kind.item_type
    elif isinstance(kind, inspect.DictType):
        inner = kind.value_type
    if isinstance(inner, inspect.UnionType):
        inner = inner.types[0]
    return inner


def _allowed(kind: inspect.Type | None) -> list[str]:
    """Field names or enum values; empty for a free value."""
    if isinstance(kind, inspect.EnumType):
        return [str(member.value) for member in kind.cls]
    if not isinstance(kind, inspect.StructType):
        return []
    names = [field.name for field in kind.fields]
    if kind.cls is Variant:
        names[names.index("family")] = "vocabulary"
    return names
