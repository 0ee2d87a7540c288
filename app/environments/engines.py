"""The engines that can be used on this machine, each with the interpreter that runs it."""

import sys
from pathlib import Path

import msgspec

from codeserve.app.environments.environment import Environment, State
from codeserve.app.environments.machine import has_gpu
from codeserve.app.environments.needs import INSTALLABLE, NEEDS, Device
from codeserve.app.environments.packages import Packages
from codeserve.engines import registry


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """Where an engine is installed."""

    engine: str
    python: str | None = None
    """The interpreter of its environment; None: the one that runs this code."""
    build: Device | None = None
    """What it computes on at best; None: unknown."""
    outdated: bool = False
    """Whether the environment has the pins of another version of codeserve."""
    packages: Packages = Packages(())
    """What is installed beside it."""

    def device(self, has_gpu: bool) -> Device | None:
        """What it computes on with a GPU in the machine or without; None: it does not start."""
        if self.build == "cuda" and not has_gpu:
            return None if self.engine == "vllm" else "cpu"
        return self.build or "cpu"


class Engines:
    """The engines of this machine, looked up at each question: they come and go."""

    def __init__(self, folder: Path) -> None:
        """``folder`` holds the environments that codeserve has made."""
        self._folder = folder.expanduser().absolute()

    @property
    def names(self) -> tuple[str, ...]:
        """Every engine that there is, installed or not."""
        return registry.names()

    @property
    def has_gpu(self) -> bool:
        """Whether there is an NVIDIA GPU."""
        return has_gpu()

    def find(self, engine: str) -> Installation | None:
        """Where ``engine`` is installed: in its own environment, or else with the server."""
        needs = NEEDS.get(engine)
        if needs is None:
            return Installation(engine=engine)
        if engine in INSTALLABLE:
            environment = self.environment(engine)
            if environment.usable:
                packages = environment.packages
                return Installation(
                    engine=engine,
                    python=str(environment.python),
                    build=packages.build(needs),
                    outdated=environment.state is State.OUTDATED,
                    packages=packages,
                )
        here = Packages(sys.path)
        if here.missing(needs):
            return None
        return Installation(engine=engine, build=here.build(needs), packages=here)

    def environment(self, engine: str) -> Environment:
        """The environment that codeserve makes, or has made, for ``engine``."""
        return Environment(self._folder, engine)
