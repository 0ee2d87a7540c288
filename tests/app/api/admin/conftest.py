from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.app.conftest import RunningServer


@pytest.fixture
def own_server(start_server: Any) -> Iterator[RunningServer]:
    """A server without models, to launch some on."""
    with start_server(keepalive_seconds=0.2) as server:
        yield server


@pytest.fixture
def own_client(own_server: RunningServer) -> Iterator[httpx.Client]:
    """A client of it."""
    with own_server.client() as client:
        yield client
