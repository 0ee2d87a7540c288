"""A model whose engine stands still while a gate is closed."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.conftest import RunningServer, fake_model, running_server

RUNNING, WAITING = 8, 32


class Gate:
    """While it is closed, the engine stands still."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def close(self) -> None:
        self.path.touch()

    def open(self) -> None:
        self.path.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    return Gate(tmp_path_factory.mktemp("gate") / "closed")


@pytest.fixture(scope="session")
def held_server(gate: Gate) -> Iterator[RunningServer]:
    model = fake_model("held", max_concurrency=RUNNING, held_by=str(gate.path))
    model = model.model_copy(update={"max_waiting_tokens": 500})
    with running_server(model, max_waiting=WAITING) as running:
        yield running


@pytest.fixture
async def crowd(held_server: RunningServer, gate: Gate) -> AsyncIterator[httpx.AsyncClient]:
    """A client of 200 connections, in front of a closed gate."""
    gate.close()
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(base_url=held_server.url, limits=limits, timeout=60) as client:
        yield client
    gate.open()
