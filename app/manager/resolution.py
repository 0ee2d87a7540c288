"""From what an operator asked for to what a worker is told to load."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from codeserve.app.settings import ModelSettings
from codeserve.engines.errors import InvalidRequest, ModelLoadError
from codeserve.engines.types import EngineConfig
from codeserve.model_specs.catalog import Catalog, Selection
from codeserve.model_specs.errors import UnknownSpec
from codeserve.model_specs.spec import ModelFormat, ModelSpec, Variant


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be launched, as far as that can be known without its weights."""

    settings: ModelSettings
    engine: str
    variants: tuple[Variant, ...]
    variant_required: bool
    selection: Selection | None
    """What to fetch; None: the weights are at ``settings.path``."""

    def local_path(self) -> Path:
        """The operator's own weights. Raises ModelLoadError if they are not there."""
        path = self.settings.path
        assert path is not None, "settings without a path have a selection"
        if not path.exists():
            raise ModelLoadError(f"There are no weights at {path}: no such file or folder.")
        return path.absolute()

    def config(self, path: Path) -> EngineConfig:
        """What to tell the worker when the weights are at ``path``."""
        return EngineConfig(
            engine=self.engine,
            path=str(path),
            variants=self.variants,
            variant_required=self.variant_required,
            context_length=self.settings.context_length,
            max_concurrency=self.settings.max_concurrency,
            options=self.settings.options,
        )


def resolve(settings: ModelSettings, catalog: Catalog, engines: Sequence[str]) -> Resolution:
    """Find the weights' spec, variants and engine; ``engines`` are those that there are.

    Raises InvalidRequest for a model, family or engine that does not exist, and for an engine
    that cannot load the weights' format; the message lists what can be chosen.
    """
    model_name = settings.model_name
    try:
        if model_name is not None:
            return _from_catalog(settings, model_name, catalog, engines)
        return _from_path(settings, catalog, engines)
    except UnknownSpec as error:
        param = "model_name" if model_name is not None else "family"
        raise InvalidRequest(error.message, param=param) from error


def _from_catalog(
    settings: ModelSettings, model_name: str, catalog: Catalog, engines: Sequence[str]
) -> Resolution:
    selection = catalog.select(
        model_name,
        size_in_billions=settings.size_in_billions,
        model_format=settings.model_format,
        quantization=settings.quantization,
    )
    able = selection.spec.engines
    return Resolution(
        settings=settings,
        engine=_choose_engine(settings.engine, able, engines, str(selection.spec.model_format)),
        variants=(selection.variant,),
        variant_required=True,
        selection=selection,
    )


def _from_path(settings: ModelSettings, catalog: Catalog, engines: Sequence[str]) -> Resolution:
    is_gguf = settings.path is not None and settings.path.suffix.lower() == ".gguf"
    specs = [spec for family in catalog.families for spec in family.specs]
    able = _engines_of(spec for spec in specs if (spec.model_format is ModelFormat.GGUF) == is_gguf)
    if settings.engine is not None and settings.engine not in _engines_of(specs):
        able = (*able, settings.engine)  # The catalogue knows nothing against a third-party engine.
    weights = "a GGUF file" if is_gguf else "a folder of weights"
    return Resolution(
        settings=settings,
        engine=_choose_engine(settings.engine, able, engines, weights),
        variants=catalog.variants(settings.family),
        variant_required=settings.family is not None,
        selection=None,
    )


def _engines_of(specs: Iterable[ModelSpec]) -> tuple[str, ...]:
    """The engines that the catalogue names for ``specs``, best first."""
    return tuple(dict.fromkeys(engine for spec in specs for engine in spec.engines))


def _choose_engine(
    asked: str | None, able: Sequence[str], engines: Sequence[str], weights: str
) -> str:
    """The engine asked for, or else the first of ``able`` that there is."""
    there = ", ".join(engines)
    if asked is None:
        for engine in able:
            if engine in engines:
                return engine
        raise InvalidRequest(
            f"No engine here can load {weights}; {' or '.join(able)} could. There are: {there}.",
            param="engine",
        )
    if asked not in engines:
        raise InvalidRequest(
            f"There is no engine called {asked!r}. There are: {there}.", param="engine"
        )
    if asked not in able:
        raise InvalidRequest(
            f"The engine {asked!r} cannot load {weights}. Engines that can: {', '.join(able)}.",
            param="engine",
        )
    return asked
