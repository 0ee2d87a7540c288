"""Nothing grows, however many requests a server has served."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.load import Clients
from tests.e2e.observing import ObservedServer

TOGETHER = 16

CONFIG = """
[server]
log_level = "warning"

[[models]]
id = "fake"
path = "/dev/null"
engine = "fake"
max_concurrency = 8
options = {{ step_seconds = 0.001 }}

[[models]]
id = "tiny"
path = "{path}"
family = "deepseek-coder-instruct"
context_length = 512
max_concurrency = 8
options = {{ tune = false, n_threads = 1, cache_host_mib = 0 }}
"""


@pytest.fixture(scope="module")
def observed(
    tmp_path_factory: pytest.TempPathFactory, tiny_deepseek_gguf: Path
) -> Iterator[ObservedServer]:
    folder = tmp_path_factory.mktemp("server")
    with ObservedServer.running(folder, CONFIG.format(path=tiny_deepseek_gguf)) as server:
        yield server


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("model", "warm_up", "requests"), [("fake", 1000, 10_000), ("tiny", 200, 1000)]
)
async def test_nothing_grows(
    observed: ObservedServer, model: str, warm_up: int, requests: int
) -> None:
    async with Clients(observed.server.url, [model], max_tokens=4) as first:
        await first.send(range(warm_up), TOGETHER)
    before = observed.holding()
    async with Clients(observed.server.url, [model], max_tokens=4) as clients:
        await clients.send(range(warm_up, warm_up + requests), TOGETHER)
    after = observed.holding()

    before.assert_no_growth(after, requests)
    tenth = requests // 10
    assert clients.outcomes == {
        "ok": 7 * tenth,
        "hung up": tenth,
        "model_not_found": tenth,
        "invalid_type": tenth,
    }
