"""A Python interpreter of the user's own: what it is, and whether an engine can run in it."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from codeserve.app.environments.needs import NEEDS, PYTHON
from codeserve.engines.errors import ModelLoadError

PROBE_SECONDS = 60
PROBE = """
import json, sys
del sys.path[0]
def answer():
    if sys.version_info < (3, 8):
        return {}
    from importlib.metadata import PackageNotFoundError, version
    from importlib.util import find_spec
    versions = {}
    for name in json.loads(sys.argv[2]):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            pass
    missing = [name for name in json.loads(sys.argv[1]) if find_spec(name) is None]
    return {"missing": missing, "versions": versions}
print(json.dumps({"python": list(sys.version_info[:3]), **answer()}))
"""


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """What an interpreter says of itself."""

    python: tuple[int, int, int]
    missing: tuple[str, ...] = ()
    """Modules that were asked for and cannot be imported."""
    versions: dict[str, str] = {}
    """Of the packages that were asked for and are installed."""

    @property
    def version(self) -> str:
        """Such as ``3.12.4``."""
        return ".".join(map(str, self.python))

    @property
    def is_too_old(self) -> bool:
        """Whether it cannot run a worker."""
        return self.python[:2] < PYTHON


def look_at(
    python: Path, modules: Sequence[str] = (), distributions: Sequence[str] = ()
) -> Interpreter:
    """Run ``python`` to ask which of ``modules`` it can import, without importing them.

    Raises ModelLoadError if it is not there, does not run, or is no Python.
    """
    if not python.is_file():
        raise ModelLoadError(f"There is no Python interpreter at {python}.")
    command = [str(python), "-c", PROBE, json.dumps(modules), json.dumps(distributions)]
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=PROBE_SECONDS
        )
        return msgspec.json.decode(done.stdout, type=Interpreter)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelLoadError(f"{python} does not run: {error}") from error
    except msgspec.DecodeError as error:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"exit status {done.returncode}"
        raise ModelLoadError(f"{python} does not run Python code: {reason}") from error


def check(python: Path, engine: str) -> Interpreter:
    """What the interpreter ``python`` of the user's own is, if ``engine`` can run in it.

    Raises ModelLoadError, which says what to install.
    """
    needs = NEEDS.get(engine)
    modules = {"msgspec": "msgspec"} if needs is None else needs.modules
    found = look_at(python, tuple(modules), () if needs is None else needs.distributions)
    if found.is_too_old:
        wanted = ".".join(map(str, PYTHON))
        raise ModelLoadError(
            f"engine_python {python} is Python {found.version}; codeserve needs {wanted} or newer."
        )
    if found.missing:
        packages = " ".join(dict.fromkeys(modules[name] for name in found.missing))
        raise ModelLoadError(
            f"engine_python {python} lacks what the engine {engine!r} needs. Install it with: "
            f"{python} -m pip install {packages}"
        )
    return found
