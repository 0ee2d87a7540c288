"""The time in which a server's first models load."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from codeserve.app.manager.status import ModelStatus


class Startup:
    """Knows which models a server starts with, and whether it still waits for them.

    What is launched later keeps nobody from the others.
    """

    def __init__(self, models: Callable[[], list[ModelStatus]]) -> None:
        """``models`` says where every model stands."""
        self._models = models
        self._launching = False
        self._first: Collection[str] | None = None
        self._over = False

    @contextmanager
    def launching(self) -> Iterator[None]:
        """The models that are there at the end are those that the server starts with."""
        self._launching = True
        try:
            yield
        finally:
            self._launching = False
            self._first = {model.id for model in self._models()}

    @property
    def is_over(self) -> bool:
        """Whether every model has once been loaded, or has failed, or loads on request; stays."""
        self._over = self._over or not (self._launching or self.awaited)
        return self._over

    @property
    def awaited(self) -> list[ModelStatus]:
        """The models that are being loaded for the first time."""
        return [model for model in self._models() if self._is_first(model) and _is_new(model)]

    def _is_first(self, model: ModelStatus) -> bool:
        return self._first is None or model.id in self._first


def _is_new(model: ModelStatus) -> bool:
    return model.info is None and not model.state.settled
