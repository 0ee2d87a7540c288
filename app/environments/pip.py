"""pip in an environment: runs it and reads from its lines how far it is."""

import queue
import re
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread
from typing import IO

import msgspec

from codeserve.app.environments.needs import Build
from codeserve.app.environments.packages import site_packages

TAIL_LINES = 25
POLL_SECONDS = 0.5

COLLECTING = re.compile(r"(?:Collecting|Processing|Requirement already satisfied:) (\S+)")
DOWNLOADING = re.compile(r" +Downloading (\S+)(?: \((.+)\))?")
BUILDING = re.compile(r" +Building wheel for (\S+) .*: started")
INSTALLING = re.compile(r"Installing collected packages: (.+)")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """How far an installation is."""

    phase: str
    """``creating``, ``collecting``, ``downloading``, ``building``, ``installing`` or
    ``checking``."""
    package: str | None = None
    """What the step is about, with its size if known."""
    done: int = 0
    """Packages of this phase that are done."""
    total: int | None = None
    """Packages of this phase; None: not known yet."""


Report = Callable[[Step], None]


class PipFailed(Exception):
    """pip has failed; ``lines`` are its last ones."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("pip failed")
        self.lines = tuple(lines)


class PipReader:
    """Makes steps of pip's lines."""

    def __init__(self, total: int | None) -> None:
        """``total``: packages that pip will collect; None: it finds out itself."""
        self.installing: int | None = None
        """Packages that are being unpacked; None: they are still collected."""
        self._total = total
        self._collected = 0

    def read(self, line: str) -> Step | None:
        """The step that ``line`` announces, if it does."""
        if match := COLLECTING.match(line):
            self._collected += 1
            return self._collecting("collecting", Path(match[1]).name)
        if match := DOWNLOADING.match(line):
            size = f" ({match[2]})" if match[2] else ""
            return self._collecting("downloading", match[1].rpartition("/")[2] + size)
        if match := BUILDING.match(line):
            return self._collecting("building", match[1])
        if match := INSTALLING.match(line):
            self.installing = len(match[1].split(", "))
            return Step(phase="installing", total=self.installing)
        return None

    def _collecting(self, phase: str, package: str) -> Step:
        return Step(phase=phase, package=package, done=self._collected, total=self._total)


def install(
    environment: Path,
    build: Build,
    arguments: Sequence[str],
    held: int,
    report: Report,
) -> None:
    """Install the packages of ``build`` by the pip of a fresh virtual environment.

    ``arguments`` are pip's own; pip keeps the descriptor ``held`` open. Raises PipFailed.
    """
    command = [
        str(environment / "bin" / "python"),
        *("-I", "-u", "-m", "pip", "install", "--no-input", "--disable-pip-version-check"),
        *("--progress-bar", "off", "--no-compile"),
        *(("--no-deps",) if build.complete else ()),
        *("-r", str(build.requirements), *arguments),
    ]
    reader = PipReader(len(build.pins) if build.complete else None)
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    fresh = _count(environment)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=(held,),
    ) as process:
        assert process.stdout is not None
        for line in _lines(process.stdout):
            step = _unpacked(reader, environment, fresh) if line is None else reader.read(line)
            if line is not None and line.strip():
                tail.append(line.rstrip())
            if step is not None:
                report(step)
    if process.returncode != 0:
        raise PipFailed(tail)


def _lines(stream: IO[str]) -> Iterator[str | None]:
    """The lines of ``stream`` as they come; None whenever none has come for a while."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    reader = Thread(target=read, daemon=True)
    reader.start()
    while reader.is_alive() or not lines.empty():
        try:
            line = lines.get(timeout=POLL_SECONDS)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line


def _unpacked(reader: PipReader, environment: Path, fresh: int) -> Step | None:
    """How far the unpacking is, of which pip says nothing."""
    if reader.installing is None:
        return None
    done = min(_count(environment) - fresh, reader.installing)
    return Step(phase="installing", done=max(done, 0), total=reader.installing)


def _count(environment: Path) -> int:
    """Packages in the environment."""
    folders = site_packages(environment)
    return sum(1 for folder in folders for _ in folder.glob("*.dist-info"))
