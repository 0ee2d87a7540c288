"""A model's weights, brought onto this machine."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from codeserve.app.manager.resolution import Resolution
from codeserve.engines.errors import ModelLoadError
from codeserve.model_specs.errors import PullCancelled, PullError
from codeserve.model_specs.hub.store import Store

Report = Callable[[int, int | None], None]
"""Is told bytes done, and in total if known, in the event loop."""


async def find(resolution: Resolution, store: Store) -> Path | None:
    """Where the weights are, or None if they must be pulled. Raises ModelLoadError."""
    if not resolution.sources:
        return resolution.local_path()
    stored = await asyncio.to_thread(store.find, resolution.sources)
    return None if stored is None else stored.path


async def pull(resolution: Resolution, store: Store, report: Report) -> Path:
    """Fetch the weights; cancelling it ends the download. Raises ModelLoadError."""
    loop = asyncio.get_running_loop()
    running = True

    def progress(done: int, total: int | None) -> None:
        if not running:
            raise PullCancelled
        loop.call_soon_threadsafe(report, done, total)

    try:
        stored = await asyncio.to_thread(store.pull, resolution.sources, progress)
    except PullError as error:
        raise ModelLoadError(str(error)) from error
    finally:
        running = False
    return stored.path
