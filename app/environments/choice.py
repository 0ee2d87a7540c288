"""Which engine loads some weights on this machine, and why."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Protocol

import msgspec

from codeserve.app.environments.abilities import ABILITIES, BUILT_IN, Weights
from codeserve.app.environments.engines import Installation
from codeserve.app.environments.needs import NEEDS
from codeserve.engines import registry
from codeserve.engines.errors import InvalidRequest


class Available(Protocol):
    """What a choice needs to know of a machine."""

    @property
    def names(self) -> Sequence[str]:
        """Every engine that there is, installed or not."""

    @property
    def has_gpu(self) -> bool:
        """Whether there is a GPU."""

    def find(self, engine: str) -> Installation | None:
        """Where an engine is installed; None: it is not."""


class EngineChoice(msgspec.Struct, frozen=True, kw_only=True):
    """An engine that was chosen."""

    engine: str
    python: str | None
    """Its interpreter; None: the one that runs this code."""
    reason: str
    """Why this one, in a sentence without its subject and full stop."""


def choose(
    asked: str | None,
    weights: Weights,
    available: Available,
    *,
    among: Sequence[str] | None = None,
    own_python: bool = False,
) -> EngineChoice:
    """The engine ``asked`` for, or else the best installed one for ``weights``.

    ``among``: the engines that the weights' catalogue entry names; None: they have none.
    ``own_python``: the user has an interpreter for it. Raises InvalidRequest for an engine that
    is not there, is not installed or cannot load the weights; the message says what can be done.
    """
    able = _able(weights, among)
    if asked is None:
        return _best(weights, able, available)
    _check(asked, weights, able, available, among)
    if own_python:
        return EngineChoice(engine=asked, python=None, reason="the settings name it")
    found = available.find(asked)
    if found is None:
        raise InvalidRequest(
            f"The engine {asked!r} is not installed. Install it with: {NEEDS[asked].install}",
            param="engine",
        )
    reason = f"the settings name it{_outdated(found)}"
    return EngineChoice(engine=asked, python=found.python, reason=reason)


def _able(weights: Weights, among: Sequence[str] | None) -> tuple[str, ...]:
    """What can load the weights, best first: the table's, then what only the catalogue knows."""
    known = ABILITIES[weights]
    if among is None:
        return known
    others = tuple(name for name in among if name not in BUILT_IN)
    return tuple(name for name in known if name in among) + others


def _check(
    asked: str,
    weights: Weights,
    able: Sequence[str],
    available: Available,
    among: Sequence[str] | None,
) -> None:
    """Refuse an engine that does not exist or can never load the weights."""
    if asked not in available.names:
        there = [name for name in available.names if name not in registry.HIDDEN]
        near = get_close_matches(asked, there, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InvalidRequest(
            f"There is no engine called {asked!r}.{hint} There are: {', '.join(there)}.",
            param="engine",
        )
    if among is None and asked not in BUILT_IN:
        return  # Nothing is known against a third-party engine.
    if asked not in able:
        raise InvalidRequest(
            f"The engine {asked!r} cannot load {weights}. Engines that can: {', '.join(able)}.",
            param="engine",
        )


def _best(weights: Weights, able: Sequence[str], available: Available) -> EngineChoice:
    """The first that is installed and uses the GPU where there is one, else the first."""
    if len(able) == 1:
        return _only(weights, able[0], available)
    has_gpu = available.has_gpu
    usable = [
        (found, device)
        for name in able
        if name in available.names and (found := available.find(name))
        if (device := found.device(has_gpu))
    ]
    if not usable:
        raise InvalidRequest(_none_installed(weights, able, available), param="engine")
    found, device = next((one for one in usable if has_gpu and one[1] == "cuda"), usable[0])
    return EngineChoice(
        engine=found.engine,
        python=found.python,
        reason=f"the best installed engine for {weights} on {_on(device, has_gpu)}"
        f"{_outdated(found)}",
    )


def _only(weights: Weights, engine: str, available: Available) -> EngineChoice:
    found = available.find(engine) if engine in available.names else None
    if found is None:
        raise InvalidRequest(_none_installed(weights, [engine], available), param="engine")
    reason = f"the only engine for {weights}{_outdated(found)}"
    return EngineChoice(engine=engine, python=found.python, reason=reason)


def _none_installed(weights: Weights, able: Sequence[str], available: Available) -> str:
    """What can be installed for the weights, and what is here but cannot run."""
    commands = [
        f"{name}: {NEEDS[name].install}"
        if name in NEEDS
        else f"{name}: install the package that brings it"
        for name in able
    ]
    unfit = [
        f" {name} is installed here as its build for CUDA, but there is no NVIDIA GPU."
        for name in able
        if (one := available.find(name)) and not one.device(available.has_gpu)
    ]
    return f"No engine that can load {weights} is installed.{''.join(unfit)} Install one of: " + (
        "; ".join(commands)
    )


def _on(device: str | None, has_gpu: bool) -> str:
    if device == "cuda":
        return "the GPU"
    if has_gpu:
        return "the CPU: no installed engine has a build for the GPU"
    return "the CPU"


def _outdated(found: Installation) -> str:
    if not found.outdated:
        return ""
    return (
        "; its environment has the packages of another version of codeserve: renew it with "
        f"`{NEEDS[found.engine].install}`"
    )
