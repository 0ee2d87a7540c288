"""One engine's virtual environment: where it is, what it holds, whether it is whole."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import msgspec

from codeserve.app.environments.needs import NEEDS, Build, Device, Needs
from codeserve.app.environments.packages import Packages, site_packages

MARKER = "codeserve.json"
PROCESSES = Path("/proc")


class State(StrEnum):
    """Whether an environment can be used."""

    ABSENT = "not installed"
    INCOMPLETE = "incomplete"
    """Its installation did not end, or something was taken out of it."""
    OUTDATED = "outdated"
    """It was made for the pins of another version of codeserve; it is used all the same."""
    READY = "installed"


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """What the last act of an installation writes down."""

    build: Device
    fingerprint: str
    """Of the pins."""
    codeserve: str
    """The version that installed it."""
    installed_at: str
    seconds: float
    bytes: int


class Environment:
    """The virtual environment that codeserve makes for an engine; it need not exist."""

    def __init__(self, folder: Path, engine: str) -> None:
        """``folder`` holds the environments of all engines."""
        self.needs: Needs = NEEDS[engine]
        self.folder = folder / engine
        self.lock_file = folder / f".{engine}.lock"

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Packages:
        """What is installed in it."""
        return Packages(site_packages(self.folder))

    @property
    def marker(self) -> Marker | None:
        """What is known of a whole environment; None: it is not whole."""
        try:
            return msgspec.json.decode((self.folder / MARKER).read_bytes(), type=Marker)
        except (OSError, msgspec.MsgspecError):
            return None

    @property
    def state(self) -> State:
        """Whether it can be used."""
        if not self.folder.exists():
            return State.ABSENT
        marker = self.marker
        if marker is None or not self.python.exists() or self.packages.missing(self.needs):
            return State.INCOMPLETE
        if marker.fingerprint != self.needs.builds[marker.build].fingerprint:
            return State.OUTDATED
        return State.READY

    @property
    def usable(self) -> bool:
        """Whether workers may run in it."""
        return self.state in (State.READY, State.OUTDATED)

    def is_current(self, build: Build) -> bool:
        """Whether it is whole and has the pins of ``build``."""
        marker = self.marker
        return self.state is State.READY and marker is not None and marker.build == build.device

    def complete(self, marker: Marker) -> None:
        """Declare the environment whole."""
        partial = self.folder / f"{MARKER}.part"
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(marker)))
        partial.replace(self.folder / MARKER)

    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.lstat().st_blocks * 512 for file in self.folder.rglob("*"))

    def users(self) -> tuple[int, ...]:
        """Ids of the processes that run in it, as far as the system tells."""
        return tuple(
            pid for pid, program in _programs() if Path(program).parent == self.python.parent
        )

    def remove(self) -> None:
        """Delete it; what is interrupted leaves an incomplete one. Raises OSError."""
        with suppress(FileNotFoundError):
            (self.folder / MARKER).unlink()
        with suppress(FileNotFoundError):
            shutil.rmtree(self.folder)


def _programs() -> Iterator[tuple[int, str]]:
    """Every other process of this system and the program that it was started as."""
    for folder in PROCESSES.glob("[0-9]*"):
        with suppress(OSError):
            program = (folder / "cmdline").read_bytes().split(b"\0", 1)[0]
            if program and int(folder.name) != os.getpid():
                yield int(folder.name), os.fsdecode(program)
