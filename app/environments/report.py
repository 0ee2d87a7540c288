"""What is installed of each engine, what does not fit this machine, and what to run."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from codeserve.app.environments import interpreter
from codeserve.app.environments.engines import Engines, Installation
from codeserve.app.environments.environment import State
from codeserve.app.environments.needs import INSTALLABLE, NEEDS, Device
from codeserve.engines.errors import ModelLoadError


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that could be better."""

    broken: bool
    """True: it will not work. False: it works, but not as well as it could."""
    what: str
    remedy: str


class EngineReport(msgspec.Struct, frozen=True, kw_only=True):
    """One engine on this machine."""

    engine: str
    state: State
    location: str | None = None
    """The folder of its environment; None: it is installed with the server, or not at all."""
    version: str | None = None
    torch: str | None = None
    build: Device | None = None
    """What it can compute on at best; None: unknown."""
    device: Device | None = None
    """What it computes on here; None: unknown, or it would not start."""
    bytes: int | None = None
    install: str
    """The command that installs it."""
    findings: tuple[Finding, ...] = ()


class OwnReport(msgspec.Struct, frozen=True, kw_only=True):
    """A model's ``engine_python``."""

    model: str
    engine: str
    python: str
    version: str | None = None
    """Of the engine; None: it cannot run there."""
    findings: tuple[Finding, ...] = ()


def engine_reports(engines: Engines) -> tuple[EngineReport, ...]:
    """Every engine of this project."""
    return tuple(_report(name, engines) for name in NEEDS)


def own_report(model: str, engine: str, python: Path) -> OwnReport:
    """The interpreter of a user's own; it is run for that."""
    try:
        versions = interpreter.check(python, engine).versions
    except ModelLoadError as error:
        finding = Finding(
            broken=True, what=f"The model {model!r} cannot run.", remedy=error.message
        )
        return OwnReport(model=model, engine=engine, python=str(python), findings=(finding,))
    version = next(iter(versions.values()), "unknown version")
    return OwnReport(model=model, engine=engine, python=str(python), version=version)


def _report(engine: str, engines: Engines) -> EngineReport:
    needs = NEEDS[engine]
    environment = engines.environment(engine) if engine in INSTALLABLE else None
    state = State.ABSENT if environment is None else environment.state
    location = None if environment is None or state is State.ABSENT else str(environment.folder)
    found = engines.find(engine)
    if found is None:
        return EngineReport(
            engine=engine,
            state=state,
            location=location,
            install=needs.install,
            findings=tuple(_of_state(engine, state)),
        )
    marker = None if environment is None else environment.marker
    return EngineReport(
        engine=engine,
        state=State.READY if found.python is None else state,
        location=None if found.python is None else location,
        version=found.packages.version(*needs.distributions) or "unknown version",
        torch=found.packages.version("torch"),
        build=found.build,
        device=found.device(engines.has_gpu),
        bytes=None if marker is None or found.python is None else marker.bytes,
        install=needs.install,
        findings=(*_of_state(engine, state), *_of_build(found, engines.has_gpu)),
    )


def _of_state(engine: str, state: State) -> Iterator[Finding]:
    """What is wrong with an environment of ours."""
    if state is State.INCOMPLETE:
        yield Finding(
            broken=False,
            what=f"The environment of {engine} is incomplete and is not used.",
            remedy=f"Make it anew: `{NEEDS[engine].install}`.",
        )
    if state is State.OUTDATED:
        yield Finding(
            broken=False,
            what=f"The environment of {engine} has the packages of another version of codeserve.",
            remedy=f"Renew it: `{NEEDS[engine].install}`.",
        )


def _of_build(found: Installation, has_gpu: bool) -> Iterator[Finding]:
    """Whether the installed build is one for this machine."""
    install = NEEDS[found.engine].install
    if found.device(has_gpu) is None:
        yield Finding(
            broken=True,
            what=f"{found.engine} is installed as its build for CUDA, but there is no NVIDIA GPU.",
            remedy=f"Install the build for the CPU: `{install} --build cpu`.",
        )
    if found.build == "cpu" and has_gpu:
        yield Finding(
            broken=False,
            what=f"There is an NVIDIA GPU, but the installed build of {found.engine} computes on "
            "the CPU.",
            remedy=f"Install the build for the GPU: `{install} --build cuda`.",
        )
