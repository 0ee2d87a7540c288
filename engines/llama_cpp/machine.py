"""The machine that this process runs on, as far as it matters for speed."""

import os
import platform
from pathlib import Path

import msgspec

from codeserve.engines.cores import CGROUP_QUOTA, usable_cores

CPU_INFO = Path("/proc/cpuinfo")
CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")

VECTOR_EXTENSIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX512",
    "avx512_vnni": "AVX512_VNNI",
    "avx512_bf16": "AVX512_BF16",
    "avx_vnni": "AVX_VNNI",
    "amx_int8": "AMX_INT8",
    "asimddp": "DOTPROD",
    "i8mm": "MATMUL_INT8",
    "sve": "SVE",
}
"""Those that llama.cpp has kernels for: the system's name and llama.cpp's."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A CPU and what of it may be used."""

    cpu: str
    """The model's name."""
    features: tuple[str, ...]
    """Instruction sets as the system names them."""
    cores: int
    """Physical cores that this process may use."""

    @classmethod
    def here(cls) -> "Machine":
        """This machine. Reads only the first CPU's description, which is quick."""
        fields = _first_cpu()
        features = fields.get("flags") or fields.get("Features") or ""
        return cls(
            cpu=fields.get("model name") or platform.processor() or platform.machine(),
            features=tuple(sorted(features.split())),
            cores=usable_cores(),
        )

    @property
    def vector_extensions(self) -> tuple[str, ...]:
        """Those of ``features`` that llama.cpp has kernels for, under its names."""
        return tuple(name for key, name in VECTOR_EXTENSIONS.items() if key in self.features)


def container_limits() -> dict[str, str]:
    """The control group's limits (version 2) that are set, as the kernel writes them."""
    limits = {"cpu.max": CGROUP_QUOTA, "memory.max": CGROUP_MEMORY}
    texts = {name: path.read_text().strip() for name, path in limits.items() if path.exists()}
    return {name: text for name, text in texts.items() if not text.startswith("max")}


def memory_bytes() -> int:
    """The machine's memory, whatever a container may use of it."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _first_cpu() -> dict[str, str]:
    fields: dict[str, str] = {}
    if not CPU_INFO.exists():
        return fields
    with CPU_INFO.open() as lines:
        for line in lines:
            if not line.strip():
                break
            name, _, value = line.partition(":")
            fields[name.strip()] = value.strip()
    return fields
