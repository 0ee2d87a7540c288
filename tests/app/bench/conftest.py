from collections.abc import Iterator

import pytest

from tests.app.conftest import RunningServer, fake_model, running_server


@pytest.fixture(scope="session")
def bench_server() -> Iterator[RunningServer]:
    """A server of a fake model that is fast, and of one that takes its time for each step."""
    fast = fake_model("fast", script="return total\n", max_concurrency=16)
    slow = fake_model("slow", script="return total\n", max_concurrency=16, step_seconds=0.02)
    with running_server(fast, slow) as running:
        yield running
