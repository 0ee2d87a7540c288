from collections.abc import Iterator
from pathlib import Path

import pytest

from codeserve.model_specs.hub.store import Store
from tests.model_specs.hub.local_hub import LocalHub, serving


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A local hub that the processes which pull take for both hubs."""
    with serving() as hub:
        for name, value in hub.variables(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield hub


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")
