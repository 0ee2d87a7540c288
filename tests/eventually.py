"""Waiting for what another process does."""

import asyncio
from collections.abc import Callable

DEADLINE_SECONDS = 60.0


async def eventually(condition: Callable[[], object]) -> None:
    """Return as soon as ``condition`` holds. Raises TimeoutError at the deadline."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)
