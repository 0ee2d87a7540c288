"""Which engines load which specs of a family on this machine, and why others do not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import msgspec
from fastapi import Query
from pydantic import BaseModel, ConfigDict

from codeserve.app.api.admin.family import find_family
from codeserve.app.api.admin.model_kind import check_kind
from codeserve.app.api.admin.origin import spelling
from codeserve.app.environments.abilities import of_spec
from codeserve.app.environments.choice import choose
from codeserve.app.environments.engines import Engines, Installation
from codeserve.app.environments.needs import NEEDS
from codeserve.app.manager.manager import ModelManager
from codeserve.app.model_settings import UNQUANTIZED
from codeserve.engines import registry
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import LoadQuantization
from codeserve.model_specs.spec import ModelFamily, ModelFormat, ModelSpec

Detailed = Annotated[bool, Query(description="A row for each engine and quantisation.")]


class LoadableSpec(BaseModel):
    """A spec that an engine loads here."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_format: str
    model_size_in_billions: int | str
    quantizations: list[str]


class Match(BaseModel):
    """An engine and a form of the weights."""

    model_config = ConfigDict(protected_namespaces=())

    engine: str
    model_format: str
    model_size_in_billions: int | str
    quantization: str
    loads: bool
    reason: str | None
    """Why it does not."""


class Snapshot(msgspec.Struct, frozen=True):
    """The engines of this machine at one moment; looking them up takes a while."""

    has_gpu: bool
    found: Mapping[str, Installation | None]

    @classmethod
    def of(cls, engines: Engines) -> "Snapshot":
        """Look up every engine but those of tests."""
        names = [name for name in engines.names if name not in registry.HIDDEN]
        return cls(engines.has_gpu, {name: engines.find(name) for name in names})

    @property
    def names(self) -> Sequence[str]:
        """Every engine, installed or not."""
        return tuple(self.found)

    def find(self, engine: str) -> Installation | None:
        """Where an engine is installed; None: it is not."""
        return self.found[engine]

    def absence(self, engine: str) -> str | None:
        """Why an engine does not run here, whatever it is to load; None: it does."""
        found = self.found[engine]
        if found is None:
            return f"{engine} is not installed. Install it with: {NEEDS[engine].install}"
        if found.device(self.has_gpu) is None:
            return f"{engine} is installed as its build for CUDA, but there is no NVIDIA GPU."
        return None


class EnginesHandler:
    """Serves what engines and families have in common."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    def of_family(
        self, model_type: str, model_name: str, detailed: Detailed = False
    ) -> dict[str, list[LoadableSpec] | str] | list[Match]:
        """By engine, in Xinference's spelling: the specs that it loads here, or why none. With
        `detailed` every engine, format, size and quantisation in a row of its own, with the
        reason where the engine does not load it."""
        check_kind(model_type)
        family = find_family(self._manager.catalog, model_name)
        engines = Snapshot.of(self._manager.engines)
        if detailed:
            return [row for name in engines.names for row in _rows(name, family, engines)]
        return {spelling(name): _summary(name, family, engines) for name in engines.names}

    def of_family_alone(
        self, model_name: str, detailed: Detailed = False
    ) -> dict[str, list[LoadableSpec] | str] | list[Match]:
        """The same for the only type of models that there is."""
        return self.of_family("LLM", model_name, detailed)


def size_of(spec: ModelSpec) -> int | str:
    """``33`` and ``"1_3"``, as Xinference writes sizes."""
    size = spec.size_in_billions
    return int(size) if size.isdecimal() else size


def _rows(engine: str, family: ModelFamily, engines: Snapshot) -> Iterator[Match]:
    for spec in family.specs:
        for quantization in spec.quantizations:
            reason = _obstacle(engine, spec, quantization, engines)
            yield Match(
                engine=engine,
                model_format=spec.model_format,
                model_size_in_billions=size_of(spec),
                quantization=quantization,
                loads=reason is None,
                reason=reason,
            )


def _obstacle(engine: str, spec: ModelSpec, quantization: str, engines: Snapshot) -> str | None:
    """Why ``engine`` does not load the spec here; None: it does."""
    is_full = spec.model_format is ModelFormat.PYTORCH
    is_loading = is_full and quantization != UNQUANTIZED
    if is_loading and quantization not in tuple(LoadQuantization):
        return f"Weights cannot be quantised to {quantization!r} while they are loaded."
    loading = LoadQuantization(quantization) if is_loading else None
    try:
        choose(engine, of_spec(spec.model_format, loading), engines, among=spec.engines)
    except InvalidRequest as error:
        return error.message
    return engines.absence(engine)


def _summary(engine: str, family: ModelFamily, engines: Snapshot) -> list[LoadableSpec] | str:
    loadable: dict[tuple[str, int | str], list[str]] = {}
    for row in _rows(engine, family, engines):
        if row.loads:
            key = row.model_format, row.model_size_in_billions
            loadable.setdefault(key, []).append(row.quantization)
    if not loadable:
        return engines.absence(engine) or f"{engine} loads no weights of {family.model_name}."
    return [
        LoadableSpec(
            model_name=family.model_name,
            model_format=model_format,
            model_size_in_billions=size,
            quantizations=quantizations,
        )
        for (model_format, size), quantizations in loadable.items()
    ]
