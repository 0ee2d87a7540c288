"""Engine names and the modules that implement them."""

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module

from codeserve.engines.base import Engine
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.types import EngineConfig

GROUP = "codeserve.engines"
"""Entry points of this group name modules with a ``create(config: EngineConfig) -> Engine``."""

BUILT_IN = {
    "llama.cpp": "codeserve.engines.llama_cpp.backend",
    "transformers": "codeserve.engines.transformers.backend",
    "vllm": "codeserve.engines.vllm.engine",
    "fake": "codeserve.engines.fake",
}
EXTRAS = {"llama_cpp": "llama-cpp", "numpy": "llama-cpp"}
PLANNED = frozenset({"vllm", "transformers"})


def names() -> tuple[str, ...]:
    """Every engine that ``create`` knows, in alphabetical order."""
    return tuple(sorted(_modules()))


def create(config: EngineConfig) -> Engine:
    """The engine that ``config`` names; its module is imported now.

    Raises ModelLoadError for an unknown name, or when the engine's package is not installed.
    """
    try:
        module = import_module(_module_of(config.engine))
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(error.name or "")
        if extra is None:
            raise
        raise ModelLoadError(
            f"The engine {config.engine!r} needs the Python package {error.name!r}, which is not "
            f"installed. Install it with: pip install 'codeserve[{extra}]'"
        ) from error
    engine: Engine = module.create(config)
    return engine


def preload(name: str) -> None:
    """Import the module of an engine ahead of ``create``, which says what is wrong with it."""
    with suppress(ModelLoadError, ImportError):
        import_module(_module_of(name))


def _module_of(name: str) -> str:
    if name in BUILT_IN:
        return BUILT_IN[name]
    modules = _modules()
    if name not in modules:
        raise ModelLoadError(_unknown(name, tuple(sorted(modules))))
    return modules[name]


def _modules() -> Mapping[str, str]:
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    announced = {point.name: point.value for point in entry_points(group=GROUP)}
    return announced | BUILT_IN


def _unknown(name: str, known: tuple[str, ...]) -> str:
    choice = f"Engines here: {', '.join(known)}."
    if name in PLANNED:
        return f"The engine {name!r} is not part of this release yet. {choice}"
    return f"There is no engine {name!r}. {choice}"
