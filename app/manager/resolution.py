"""From what an operator asked for to what a worker is told to load."""

from contextlib import suppress
from pathlib import Path

import msgspec

from codeserve.app.environments import interpreter
from codeserve.app.environments.abilities import Weights, of_path, of_spec
from codeserve.app.environments.choice import Available, EngineChoice, choose
from codeserve.app.manager.placement import ANYWHERE, Placement, options
from codeserve.app.model_settings import UNQUANTIZED, ModelSettings
from codeserve.engines.errors import InvalidRequest, ModelLoadError
from codeserve.engines.types import EngineConfig, LoadQuantization
from codeserve.model_specs.catalog import Catalog, Selection
from codeserve.model_specs.errors import PullError, UnknownSpec
from codeserve.model_specs.hub.artifact import Artifact, artifacts
from codeserve.model_specs.spec import Hub, ModelFormat, Variant


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be launched, as far as that can be known without its weights."""

    settings: ModelSettings
    choice: EngineChoice
    """The engine, its interpreter, and why it is this one."""
    quantization: LoadQuantization | None
    variants: tuple[Variant, ...]
    variant_required: bool
    selection: Selection | None
    """What to fetch; None: the weights are at ``settings.path``."""
    sources: tuple[Artifact, ...] = ()
    """Where to fetch it, best first."""

    def local_path(self) -> Path:
        """The operator's own weights. Raises ModelLoadError if they are not there."""
        path = self.settings.path
        assert path is not None, "settings without a path have a selection"
        if not path.exists():
            raise ModelLoadError(f"There are no weights at {path}: no such file or folder.")
        return path.absolute()

    def check_interpreter(self) -> None:
        """Run the operator's own interpreter, if there is one, to see that the engine can run in
        it. Raises ModelLoadError."""
        if self.settings.engine_python is not None:
            interpreter.check(self.settings.engine_python.expanduser(), self.choice.engine)

    def config(self, path: Path, placement: Placement = ANYWHERE) -> EngineConfig:
        """What to tell the worker at ``placement`` when the weights are at ``path``."""
        return EngineConfig(
            engine=self.choice.engine,
            path=str(path),
            variants=self.variants,
            variant_required=self.variant_required,
            quantization=self.quantization,
            context_length=self.settings.context_length,
            max_concurrency=self.settings.max_concurrency,
            options=options(self.choice.engine, self.settings, placement),
        )


def resolve(settings: ModelSettings, catalog: Catalog, engines: Available) -> Resolution:
    """Find the weights' spec, variants and engine; ``engines`` are those of this machine.

    Raises InvalidRequest for a model, family or engine that does not exist, for an engine that
    is not installed, and for one that cannot load the weights; the message lists what can be done.
    """
    model_name = settings.model_name
    try:
        if model_name is not None:
            return _from_catalog(settings, model_name, catalog, engines)
        return _from_path(settings, catalog, engines)
    except UnknownSpec as error:
        param = error.param if model_name is not None else "family"
        raise InvalidRequest(error.message, param=param) from error


def _from_catalog(
    settings: ModelSettings, model_name: str, catalog: Catalog, engines: Available
) -> Resolution:
    selection = select(settings, model_name, catalog)
    spec = selection.spec
    is_full = spec.model_format is ModelFormat.PYTORCH
    loading = _loading(selection.quantization) if is_full else None
    weights = of_spec(spec.model_format, loading)
    return Resolution(
        settings=settings,
        choice=_choose(settings, weights, engines, spec.engines),
        quantization=loading,
        variants=(selection.variant,),
        variant_required=True,
        selection=selection,
        sources=_sources(selection, settings.hub),
    )


def _sources(selection: Selection, hub: Hub | None) -> tuple[Artifact, ...]:
    """Where the weights are. Raises InvalidRequest where they are not on the hub asked for."""
    try:
        return artifacts(selection.spec, selection.quantization, hub)
    except PullError as error:
        raise InvalidRequest(str(error), param="hub") from error


def select(settings: ModelSettings, model_name: str, catalog: Catalog) -> Selection:
    """The spec that is asked for. Raises UnknownSpec.

    Where an engine is asked for and no format, the format is one that the engine loads, if it
    loads any that there is.
    """

    def of_format(model_format: str | None) -> Selection:
        return catalog.select(
            model_name,
            size_in_billions=settings.size_in_billions,
            model_format=model_format,
            quantization=settings.quantization,
        )

    if settings.engine is not None and settings.model_format is None:
        for model_format in (ModelFormat.GGUF, *ModelFormat):
            with suppress(UnknownSpec):
                selection = of_format(model_format)
                if settings.engine in selection.spec.engines:
                    return selection
    return of_format(settings.model_format)


def _from_path(settings: ModelSettings, catalog: Catalog, engines: Available) -> Resolution:
    assert settings.path is not None, "settings have a model_name or a path"
    loading = _loading(settings.quantization)
    try:
        weights = of_path(settings.path, loading)
    except ValueError as error:
        raise InvalidRequest(str(error), param="quantization") from error
    return Resolution(
        settings=settings,
        choice=_choose(settings, weights, engines, None),
        quantization=loading,
        variants=catalog.variants(settings.family),
        variant_required=settings.family is not None,
        selection=None,
    )


def _loading(quantization: str | None) -> LoadQuantization | None:
    """What the weights become while they are loaded. Raises InvalidRequest."""
    if quantization is None or quantization == UNQUANTIZED:
        return None
    try:
        return LoadQuantization(quantization)
    except ValueError as error:
        raise InvalidRequest(
            f"Weights cannot be quantised to {quantization!r} while they are loaded, but to "
            f"{' or '.join(LoadQuantization)}.",
            param="quantization",
        ) from error


def _choose(
    settings: ModelSettings,
    weights: Weights,
    engines: Available,
    among: tuple[str, ...] | None,
) -> EngineChoice:
    own = settings.engine_python
    choice = choose(settings.engine, weights, engines, among=among, own_python=own is not None)
    if own is None:
        return choice
    return msgspec.structs.replace(choice, python=str(own.expanduser().absolute()))
