from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.model_specs.hub.local_hub import Hub


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path / "cache")
    thread = Thread(target=hub.serve_forever)
    thread.start()
    yield hub
    hub.shutdown()
    thread.join()
    hub.server_close()
