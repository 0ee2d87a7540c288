"""A machine on which every engine is installed, to plan for what is not yet."""

from collections.abc import Sequence

from codeserve.app.environments.choice import Available
from codeserve.app.environments.engines import Installation


class Anywhere:
    """Implements ``Available``: ``here``, and the engines that are missing there."""

    def __init__(self, here: Available) -> None:
        self._here = here

    @property
    def names(self) -> Sequence[str]:
        """Every engine that there is."""
        return self._here.names

    @property
    def has_gpu(self) -> bool:
        """Whether there is a GPU here."""
        return self._here.has_gpu

    def find(self, engine: str) -> Installation | None:
        """Where it is installed, or a stand-in for its environment."""
        return self._here.find(engine) or Installation(engine=engine)
