"""Which engines load which specs of a family on this machine, and why others do not."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from codeserve.app.api.admin.model_kind import check_kind
from codeserve.app.api.admin.origin import spelling
from codeserve.app.environments.abilities import of_spec
from codeserve.app.environments.choice import choose
from codeserve.app.manager.manager import ModelManager
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
        matches = list(self._matches(self._manager.catalog.family(model_name)))
        if detailed:
            return matches
        engines = dict.fromkeys(match.engine for match in matches)
        return {
            spelling(engine): _summary(
                model_name, [match for match in matches if match.engine == engine]
            )
            for engine in engines
        }

    def of_family_alone(
        self, model_name: str, detailed: Detailed = False
    ) -> dict[str, list[LoadableSpec] | str] | list[Match]:
        """The same for the only type of models that there is."""
        return self.of_family("LLM", model_name, detailed)

    def _matches(self, family: ModelFamily) -> Iterator[Match]:
        for engine in self._manager.engines.names:
            if engine in registry.HIDDEN:
                continue
            for spec in family.specs:
                for quantization in spec.quantizations:
                    reason = self._obstacle(engine, spec, quantization)
                    yield Match(
                        engine=engine,
                        model_format=spec.model_format,
                        model_size_in_billions=size_of(spec),
                        quantization=quantization,
                        loads=reason is None,
                        reason=reason,
                    )

    def _obstacle(self, engine: str, spec: ModelSpec, quantization: str) -> str | None:
        """Why ``engine`` does not load the spec here; None: it does."""
        is_full = spec.model_format is ModelFormat.PYTORCH
        loading = (
            LoadQuantization(quantization)
            if is_full and quantization in tuple(LoadQuantization)
            else None
        )
        weights = of_spec(spec.model_format, loading)
        engines = self._manager.engines
        try:
            choose(engine, weights, engines, among=spec.engines)
        except InvalidRequest as error:
            return error.message
        found = engines.find(engine)
        if found is not None and found.device(engines.has_gpu) is None:
            return f"{engine} is installed as its build for CUDA, but there is no NVIDIA GPU."
        return None


def size_of(spec: ModelSpec) -> int | str:
    """``33`` and ``"1_3"``, as Xinference writes sizes."""
    size = spec.size_in_billions
    return int(size) if size.isdecimal() else size


def _summary(model_name: str, matches: list[Match]) -> list[LoadableSpec] | str:
    loadable: dict[tuple[str, int | str], list[str]] = {}
    for match in matches:
        if match.loads:
            key = match.model_format, match.model_size_in_billions
            loadable.setdefault(key, []).append(match.quantization)
    if not loadable:
        return matches[0].reason or ""
    return [
        LoadableSpec(
            model_name=model_name,
            model_format=model_format,
            model_size_in_billions=size,
            quantizations=quantizations,
        )
        for (model_format, size), quantizations in loadable.items()
    ]
