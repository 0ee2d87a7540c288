"""What all models of a server share."""

from dataclasses import dataclass

from codeserve.app.manager.drain import Drain
from codeserve.app.manager.history import Histories
from codeserve.app.manager.launcher import Launcher
from codeserve.app.manager.restarts import RestartPolicy
from codeserve.app.manager.room import Room
from codeserve.app.memory.planner import Planner
from codeserve.app.server_settings import ServerSettings
from codeserve.model_specs.hub.store import Store


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The server that a model runs in."""

    server: ServerSettings
    launcher: Launcher
    policy: RestartPolicy
    """How lost workers are replaced."""
    store: Store
    planner: Planner
    room: Room
    drain: Drain
    """The end of the server."""
    histories: Histories
    """What its models have gone through."""
