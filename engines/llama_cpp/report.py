"""What ``codeserve doctor`` says of llama.cpp, as JSON on standard output.

    python -m codeserve.engines.llama_cpp.report [--measure FILE]

A process of its own, so that a build that crashes costs nothing else.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.llama_cpp import diagnosis
from codeserve.engines.llama_cpp.build import STAMP, cache_folder
from codeserve.engines.llama_cpp.diagnosis import Finding
from codeserve.engines.llama_cpp.machine import Machine, container_limits, memory_bytes

if TYPE_CHECKING:
    from codeserve.engines.llama_cpp.remembered import Entry
    from codeserve.engines.llama_cpp.tuning import Tuning


class Machinery(msgspec.Struct, frozen=True, kw_only=True):
    """The machine, for people."""

    cpu: str
    cores: int
    memory_bytes: int
    container_limits: dict[str, str]
    vector_extensions: tuple[str, ...]


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """llama.cpp as it is installed."""

    version: str
    recipe: str | None
    """How set-up built it; None: it was built by someone else."""
    amx_fix: bool
    """Whether GCC's AMX defect is worked around, which set-up's builds do."""
    features: tuple[str, ...]
    gpu: bool
    system_info: str


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement and what it holds for."""

    path: str
    current: bool
    """Whether file, machine and build are still the same."""
    options: dict[str, Any]
    """What was given and therefore not measured."""
    tuning: "Tuning"


def report() -> dict[str, Any]:
    """Machine, build, remembered tunings and findings."""
    machine = Machine.here()
    try:
        build = describe_build()
    except (ImportError, OSError, RuntimeError) as error:
        findings = [diagnosis.missing_package(f"{error}".rstrip("."))]
        return _document(machine, None, [], findings)
    tunings = [describe_entry(entry) for entry in _entries()]
    folder = cache_folder().parent / "tuning"
    findings = [
        *diagnosis.of_build(machine, build.features, build.gpu),
        *diagnosis.of_cache(str(folder), _is_writable(folder)),
    ]
    for one in tunings:
        findings += diagnosis.of_tuning(one.path, one.current, one.tuning.busy)
    return _document(machine, build, tunings, findings)


def describe_build() -> Build:
    """The installed llama.cpp. Raises what its import raises."""
    import llama_cpp

    stamp = Path(llama_cpp.__file__).parent / STAMP
    recipe = msgspec.json.decode(stamp.read_bytes())["recipe"] if stamp.exists() else None
    llama_cpp.llama_backend_init()
    system_info = llama_cpp.llama_print_system_info().decode()
    pairs = (item.rpartition(":")[2].split("=") for item in system_info.split("|") if "=" in item)
    return Build(
        version=llama_cpp.__version__,
        recipe=recipe,
        amx_fix=recipe is not None,
        features=tuple(name.strip() for name, value in pairs if value.strip() == "1"),
        gpu=llama_cpp.llama_supports_gpu_offload(),
        system_info=system_info,
    )


def describe_entry(entry: "Entry[Tuning]") -> Remembered:
    """What is remembered, and whether it still holds."""
    from codeserve.engines.llama_cpp.options import LlamaCppOptions
    from codeserve.engines.llama_cpp.remembered import Subject

    given, path = entry.subject.options, Path(entry.path)
    unset = msgspec.to_builtins(LlamaCppOptions.of({}))
    return Remembered(
        path=entry.path,
        current=path.is_file() and Subject.of(path, given) == entry.subject,
        options={
            name: value
            for name, value in msgspec.to_builtins(given).items()
            if value != unset[name]
        },
        tuning=entry.result,
    )


def measure(path: Path) -> None:
    """Measure ``path`` with no options given and remember it. Raises ModelLoadError."""
    import llama_cpp

    from codeserve.engines.llama_cpp import repairs, tuning
    from codeserve.engines.llama_cpp.log import LlamaLog
    from codeserve.engines.llama_cpp.options import LlamaCppOptions
    from codeserve.engines.llama_cpp.weights import check_file

    check_file(path)
    llama_cpp.llama_backend_init()
    with closing(LlamaLog()) as log:
        tuning.measure(
            path, LlamaCppOptions.of({}), repairs.overrides(()), lambda phase, fraction: None, log
        )


def _entries() -> Iterator["Entry[Tuning]"]:
    from codeserve.engines.llama_cpp import remembered
    from codeserve.engines.llama_cpp.tuning import Tuning

    return remembered.entries(Tuning)


def _document(
    machine: Machine, build: Build | None, tunings: list[Remembered], findings: list[Finding]
) -> dict[str, Any]:
    return {
        "machine": Machinery(
            cpu=machine.cpu,
            cores=machine.cores,
            memory_bytes=memory_bytes(),
            container_limits=container_limits(),
            vector_extensions=machine.vector_extensions,
        ),
        "llama_cpp": build,
        "tunings": tunings,
        "findings": findings,
    }


def _is_writable(folder: Path) -> bool:
    """Whether ``folder`` can be written, or made."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def main() -> None:
    """Print the report, after measuring if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", type=Path, metavar="FILE")
    path = parser.parse_args().measure
    if path is not None:
        try:
            measure(path)
        except ModelLoadError as error:
            sys.exit(error.message)
    sys.stdout.write(msgspec.json.encode(report()).decode())


if __name__ == "__main__":
    main()
