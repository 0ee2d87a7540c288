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
HIDDEN = frozenset({"fake"})
"""Engines for tests, which no message offers."""
EXTRAS = {"llama_cpp": "llama-cpp", "numpy": "llama-cpp"}
INSTALLABLE = frozenset({"vllm", "transformers"})
"""Engines that have environments of their own."""


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
        command = _installation(config.engine, error.name or "")
        if command is None:
            raise
        raise ModelLoadError(
            f"The engine {config.engine!r} needs the Python package {error.name!r}, which is not "
            f"installed. Install it with: {command}"
        ) from error
    engine: Engine = module.create(config)
    return engine


def preload(name: str) -> None:
    """Import the module of an engine ahead of ``create``, which says what is wrong with it."""
    with suppress(ModelLoadError, ImportError):
        import_module(_module_of(name))


def _installation(engine: str, package: str) -> str | None:
    """The command that brings the missing ``package`` of ``engine``, if there is one."""
    if engine in INSTALLABLE:
        return f"codeserve engines install {engine}"
    return f"pip install 'codeserve[{EXTRAS[package]}]'" if package in EXTRAS else None


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
    offered = (engine for engine in known if engine not in HIDDEN)
    return f"There is no engine {name!r}. Engines here: {', '.join(offered)}."
