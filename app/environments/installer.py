"""Makes an engine's environment: from nothing to a proven whole, or not at all."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from codeserve.app.disk_space import DiskSpace
from codeserve.app.environments import interpreter, pip
from codeserve.app.environments.environment import Environment, Marker
from codeserve.app.environments.lock import Locked, exclusive
from codeserve.app.environments.needs import GIGABYTE, PYTHON, Build
from codeserve.app.environments.pip import PipFailed, Report, Step
from codeserve.engines.errors import ModelLoadError

PROOF_SECONDS = 1800
PROOF_LINES = 10


class InstallError(Exception):
    """An environment could not be made or removed; the message says why and what to do."""

    def __init__(self, message: str, lines: Sequence[str] = ()) -> None:
        """``lines``: the last that the program at fault has written."""
        super().__init__(message)
        self.lines = tuple(lines)


def install(
    environment: Environment,
    build: Build,
    python: Path,
    pip_arguments: Sequence[str],
    report: Report,
) -> Marker:
    """Make ``environment`` anew on the interpreter ``python`` with the packages of ``build``.

    What was there is deleted first. An installation that ends early, for whatever reason, leaves
    an environment that counts as incomplete and is made anew next time. Raises InstallError.
    """
    began = time.monotonic()
    _check_python(python)
    with _sole_owner(environment) as held:
        environment.remove()
        _check_space(environment, build)
        report(Step(phase="creating"))
        _create(environment, python)
        try:
            pip.install(environment.folder, build, pip_arguments, held, report)
        except PipFailed as failed:
            raise InstallError(_pip_advice(failed.lines), failed.lines) from failed
        report(Step(phase="checking"))
        _prove(environment, build)
        marker = Marker(
            build=build.device,
            fingerprint=build.fingerprint,
            codeserve=version("codeserve"),
            installed_at=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - began, 1),
            bytes=environment.size(),
        )
        environment.complete(marker)
        return marker


def remove(environment: Environment) -> None:
    """Delete ``environment``. Raises InstallError if something uses or changes it."""
    with _sole_owner(environment):
        environment.remove()
    environment.lock_file.unlink(missing_ok=True)


@contextmanager
def _sole_owner(environment: Environment) -> Iterator[int]:
    """Hold the environment's lock while nothing runs in it."""
    name = environment.folder.name
    try:
        with exclusive(environment.lock_file) as held:
            if users := environment.users():
                raise InstallError(
                    f"The environment of {name} is in use by the "
                    f"{'process' if len(users) == 1 else 'processes'} "
                    f"{', '.join(map(str, users))}. Stop the server that uses it first."
                )
            yield held
    except Locked as error:
        raise InstallError(
            f"Another command is installing or removing {name}. Try again when it has ended."
        ) from error
    except OSError as error:
        raise InstallError(f"The environment of {name} cannot be changed: {error}") from error


def _check_python(python: Path) -> None:
    try:
        found = interpreter.look_at(python)
    except ModelLoadError as error:
        raise InstallError(error.message) from error
    if found.is_too_old:
        wanted = ".".join(map(str, PYTHON))
        raise InstallError(
            f"{python} is Python {found.version}; codeserve needs {wanted} or newer. Choose "
            "another one with --python."
        )


def _check_space(environment: Environment, build: Build) -> None:
    free = DiskSpace.at(environment.folder).free
    if free < build.disk_bytes:
        raise InstallError(
            f"{environment.folder.parent} has {free / GIGABYTE:.1f} GB free, but the environment "
            f"takes about {build.disk_bytes / GIGABYTE:.1f} GB. Make room, or set "
            "CODESERVE_ENGINES to a folder on another disk."
        )


def _create(environment: Environment, python: Path) -> None:
    command = [str(python), "-I", "-m", "venv", str(environment.folder)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise InstallError(
            f"{python} could not make a virtual environment. On Debian and Ubuntu it needs the "
            "package python3-venv. Or choose another interpreter with --python.",
            lines,
        )


def _pip_advice(lines: Sequence[str]) -> str:
    text = "\n".join(lines)
    if "No space left" in text:
        advice = "There is no space left. Make room and run the command again."
    elif "No matching distribution" in text or "Could not find a version" in text:
        advice = (
            "The package index that pip uses lacks a pinned package for this Python and machine. "
            "Choose another Python with --python, or give pip an index after `--`: "
            "-- --extra-index-url URL."
        )
    elif "Failed building wheel" in text or "Failed to build" in text:
        advice = (
            "A package has no wheel for this Python and machine and could not be built. Install a "
            "C compiler and Python's headers, or choose another Python with --python."
        )
    else:
        advice = "Its last lines say why. Run the command again when that is mended."
    return f"pip failed. {advice}"


def _prove(environment: Environment, build: Build) -> None:
    """Import in the environment what workers will import. Raises InstallError."""
    proof = f"import {', '.join(environment.needs.proof)}"
    try:
        done = subprocess.run(
            [str(environment.python), "-I", "-c", proof],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=PROOF_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise InstallError(
            f"The installed packages could not be imported within {PROOF_SECONDS} s."
        ) from error
    if done.returncode == 0:
        return
    if build.device == "cpu" and environment.packages.build(environment.needs) == "cuda":
        advice = (
            " pip chose PyTorch's build for CUDA. Give it the index of PyTorch's builds for the "
            "CPU: -- --extra-index-url URL."
        )
    else:
        advice = ""
    lines = (done.stdout + done.stderr).strip().splitlines()[-PROOF_LINES:]
    raise InstallError(f"The installed packages cannot be imported.{advice}", lines)
