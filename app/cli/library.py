"""The catalogue and the store of this machine, and what a reference on the command line means."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec

from codeserve.app.cli.failure import USAGE_ERROR, fail
from codeserve.app.cli.welcome import command_path
from codeserve.app.model_settings import ModelSettings
from codeserve.app.registrations import load_catalog
from codeserve.app.server_settings import ServerSettings
from codeserve.app.setting_problems import SettingsError
from codeserve.app.settings import Settings
from codeserve.model_specs.catalog import Catalog, Selection
from codeserve.model_specs.errors import PullError, SpecError, UnknownSpec
from codeserve.model_specs.hub.artifact import Artifact, artifacts
from codeserve.model_specs.hub.store import Store
from codeserve.model_specs.hub.stored import Stored
from codeserve.model_specs.spec import Hub

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


class Wanted(msgspec.Struct, frozen=True):
    """What a reference means."""

    reference: str
    sources: tuple[Artifact, ...]
    """Best first."""
    selection: Selection | None
    """None for a repository that the user named."""


class Library:
    """What can be pulled and what was. Its methods end the command when a reference is wrong."""

    def __init__(self, server: ServerSettings, catalog: Catalog) -> None:
        self.server = server
        self.catalog = catalog
        self.store = Store(server.store, offline=server.offline)
        self._selections = _selections(catalog)

    @classmethod
    def open(cls, config: Path | None) -> Self:
        """The library that the settings name; ends the command if they are wrong."""
        try:
            server: ServerSettings = Settings.load(config).server
            return cls(server, load_catalog(server))
        except (SettingsError, SpecError) as error:
            fail(str(error), USAGE_ERROR)

    def spec(
        self, reference: str, model_format: str | None = None, hub: Hub | None = None
    ) -> Wanted:
        """What ``NAME[:SIZE][:QUANTIZATION]`` means in the catalogue."""
        try:
            model = ModelSettings.from_reference(reference)
            if model.model_name is None:
                fail(f"{reference} is a path, not a SPEC of the catalogue.", USAGE_ERROR)
            selection = self.catalog.select(
                model.model_name,
                size_in_billions=model.size_in_billions,
                model_format=model_format,
                quantization=model.quantization,
            )
            found = artifacts(selection.spec, selection.quantization, hub)
        except (SettingsError, UnknownSpec, PullError) as error:
            fail(str(error), USAGE_ERROR)
        return Wanted(reference, found, selection)

    def here(self, references: Sequence[str], model_format: str | None = None) -> list[Stored]:
        """What is on this machine of each of ``references``, without network."""
        found = [one for reference in references for one in self._here(reference, model_format)]
        return [one for number, one in enumerate(found) if one not in found[:number]]

    def selection(self, stored: Stored) -> Selection | None:
        """The spec of the catalogue that these weights are, with its default quantisation if
        they serve several; None for what the catalogue does not know."""
        return self._selections.get(stored.artifact)

    def title(self, stored: Stored) -> str:
        """A short name of these weights, for people; no other weights have it."""
        selection = self.selection(stored)
        if selection is None:
            return " ".join((str(stored.artifact), *stored.artifact.files))
        name = _reference(selection)
        if self._is_default(selection):
            return name
        return f"{name} ({selection.spec.model_format})"

    def how_to_serve(self, stored: Stored, config: Path | None) -> str:
        """The command that serves these weights, or launches them where only that can name
        them."""
        selection = self.selection(stored)
        if selection is not None and not self._is_default(selection):
            return f"{command_path()} {shlex.join(_launch(selection))}"
        model = str(stored.path) if selection is None else _reference(selection)
        words = ["serve", "--model", model, *(["--config", str(config)] if config else [])]
        return f"{command_path()} {shlex.join(words)}"

    def _is_default(self, selection: Selection) -> bool:
        """Whether name, size and quantisation alone mean this spec."""
        try:
            named = self.catalog.select(
                selection.family.model_name,
                size_in_billions=selection.spec.size_in_billions,
                quantization=selection.quantization,
            )
        except UnknownSpec:
            return False
        return named.spec == selection.spec

    def _here(self, reference: str, model_format: str | None) -> Sequence[Stored]:
        stored = self.store.stored()
        if is_repository(reference):
            found = [one for one in stored if one.artifact.repository == reference]
        else:
            sources = self.spec(reference, model_format).sources
            found = [one for one in stored if one.artifact in sources]
            if not found and (cached := self.store.find(sources)) is not None:
                found = [cached]
        if not found:
            fail(
                f"{reference} is not on this machine; `codeserve cached` lists what is.",
                USAGE_ERROR,
            )
        return found


def is_repository(reference: str) -> bool:
    """Whether ``reference`` is ``owner/name``; ends the command if it is a path."""
    if "/" not in reference:
        return False
    if REPOSITORY.fullmatch(reference) is None or reference.startswith("."):
        fail(
            f"{reference!r} is neither NAME[:SIZE][:QUANTIZATION] nor a repository, owner/name.",
            USAGE_ERROR,
        )
    return True


def _reference(selection: Selection) -> str:
    parts = (selection.family.model_name, selection.spec.size_in_billions, selection.quantization)
    return ":".join(parts)


def _launch(selection: Selection) -> list[str]:
    name, size = selection.family.model_name, selection.spec.size_in_billions
    words = ["launch", "--model-name", name, "--size-in-billions", size]
    words += ["--model-format", str(selection.spec.model_format)]
    return [*words, "--quantization", selection.quantization]


def _selections(catalog: Catalog) -> dict[Artifact, Selection]:
    selections: dict[Artifact, Selection] = {}
    for family in catalog.families:
        for spec in family.specs:
            for quantization in (spec.default_quantization, *spec.quantizations):
                selection = Selection(family, spec, family.variant(spec.variant), quantization)
                for artifact in artifacts(spec, quantization):
                    selections.setdefault(artifact, selection)
    return selections
