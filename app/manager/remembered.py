"""The launches that a restarted server repeats."""

import asyncio
from collections.abc import Callable

from codeserve.app.manager.state_file import StateFile
from codeserve.app.model_settings import ModelSettings


class Remembered:
    """Keeps the state file as the models are, one write after another, out of the event loop."""

    def __init__(self, state: StateFile | None, complain: Callable[[str, str], None]) -> None:
        """``state``: None forgets. ``complain`` is told the model and why it could not be saved."""
        self._state = state
        self._complain = complain
        self._models: dict[str, ModelSettings] = {}
        self._writing = asyncio.Lock()
        self._updates: set[asyncio.Task[None]] = set()

    async def add(self, model: ModelSettings) -> None:
        """Have ``model`` launched again, in place of another of its id."""
        self._models[model.id] = model
        await self._save(model.id)

    def update(self, model: ModelSettings) -> None:
        """Soon have it launched in another way, if it is remembered."""
        if model.id in self._models:
            saving = asyncio.create_task(self.add(model))
            self._updates.add(saving)
            saving.add_done_callback(self._updates.discard)

    async def finish(self) -> None:
        """Return when all is saved."""
        await asyncio.gather(*self._updates)

    async def forget(self, model_id: str) -> bool:
        """Launch it no more; whether it was remembered."""
        if self._models.pop(model_id, None) is not None:
            await self._save(model_id)
            return True
        state = self._state
        if state is None:
            return False
        async with self._writing:
            try:
                return await asyncio.to_thread(state.forget, model_id)
            except OSError as error:
                self._complain(model_id, str(error))
                return False

    async def _save(self, model_id: str) -> None:
        state = self._state
        if state is None:
            return
        async with self._writing:
            try:
                await asyncio.to_thread(state.save, tuple(self._models.values()))
            except OSError as error:
                self._complain(model_id, str(error))
