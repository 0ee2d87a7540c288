"""A real server of the tiny DeepSeek Coder model, in both of its roles."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from codeserve.app.model_settings import ModelSettings
from tests.app.conftest import RunningServer, running_server


@pytest.fixture(scope="session")
def tiny_server(tiny_deepseek_gguf: Path) -> Iterator[RunningServer]:
    """Serves ``instruct``, which does not fill in a middle, and ``base``, which does."""
    models = (
        ModelSettings(
            id=model_id,
            path=tiny_deepseek_gguf,
            family=family,
            engine="llama.cpp",
            context_length=512,
            options={"tune": False},
        )
        for model_id, family in (
            ("instruct", "deepseek-coder-instruct"),
            ("base", "deepseek-coder"),
        )
    )
    with running_server(*models) as running:
        yield running


@pytest.fixture
def tiny(tiny_server: RunningServer) -> Iterator[httpx.Client]:
    """A client of that server."""
    with tiny_server.client() as client:
        yield client
