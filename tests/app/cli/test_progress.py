import io
import logging
from typing import Any

import pytest
from rich.console import Console

from codeserve.app.cli.progress import loading_display
from codeserve.app.manager.launcher import LocalLauncher
from codeserve.app.manager.manager import ModelManager
from codeserve.app.server_settings import ServerSettings
from codeserve.model_specs.catalog import Catalog


async def shown_on(console: Console, model: Any) -> None:
    """Load ``model`` with a display on ``console``."""
    manager = ModelManager(ServerSettings(), LocalLauncher(), Catalog.load())
    try:
        await manager.launch(model)
        async with loading_display(manager, console):
            await manager.wait_ready(model.id)
    finally:
        await manager.stop()


async def test_a_terminal_shows_a_bar_with_the_phase(make_model: Any) -> None:
    output = io.StringIO()
    await shown_on(Console(file=output, force_terminal=True), make_model("a", load_seconds=0.5))
    assert "a: weights" in output.getvalue()


async def test_a_log_gets_a_plain_line_for_each_phase(
    make_model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "codeserve.app.cli.progress")
    output = io.StringIO()
    await shown_on(Console(file=output), make_model("a", load_seconds=0.5))
    phases = [record.getMessage() for record in caplog.records if "progress" in record.name]
    assert "a: weights" in phases
    assert phases[-1] == "a: ready"
    assert len(phases) == len(set(phases))
    assert output.getvalue() == ""
