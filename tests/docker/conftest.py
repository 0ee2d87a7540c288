"""Images that ``make containers`` has built, and containers of them."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docker.container import Container
from tests.docker.store import Store

SWITCH = "CODESERVE_TEST_IMAGES"
"""Set by ``make containers``, which builds the images first."""

Start = Callable[..., Container]


def why_not() -> str | None:
    """Why containers cannot be tested; None: they can."""
    if missing := Store.missing():
        return f"{', '.join(missing)} is not installed"
    if SWITCH not in os.environ:
        return "make containers builds the images and runs this"
    return None


@pytest.fixture(scope="session")
def store() -> Store:
    """Where the images are; without them the test is skipped."""
    if reason := why_not():
        pytest.skip(reason)
    return Store.of_user()


@pytest.fixture
def start(store: Store) -> Iterator[Start]:
    """Starts containers, which are gone after the test."""
    with ExitStack() as running:

        def begin(target: str, *arguments: str, mounts: dict[Path, str] | None = None) -> Container:
            container = Container.start(store, target, arguments, mounts or {})
            running.callback(container.remove)
            return container

        yield begin
