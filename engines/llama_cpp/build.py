"""Builds and installs ``llama-cpp-python`` from source, safe and fast on the machine at hand.

    python -m codeserve.engines.llama_cpp.build requirements/llama-cpp.txt [--portable]

Recipes are tried from the fastest to the most portable; the first whose build computes a real
matrix product on this machine is installed. A finished wheel is kept in the user's cache under a
key of everything that shaped it, so a second set-up takes seconds and a repeated one does nothing.
Uses the standard library and pip only.

With ``--portable`` it builds what goes to other machines, such as a container image: kernels for
every CPU of this architecture, of which the best is chosen where it runs. Nothing is proven here
then; ``codeserve.engines.llama_cpp.proof`` does it there.
"""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
STAMP = "codeserve_build.json"


class BuildError(Exception):
    """No usable build; the message says why and what to do."""


@dataclass(frozen=True)
class Recipe:
    """One way to build llama.cpp."""

    name: str
    cmake: tuple[str, ...] = ()
    is_portable: bool = False
    """Whether it is for other machines than this one."""

    def key(self, requirement: str, compiler: str) -> str:
        """Identifies a wheel: equal keys mean interchangeable builds."""
        parts = (
            requirement,
            compiler,
            platform.machine() if self.is_portable else cpu_features(),
            os.environ.get("CMAKE_ARGS", ""),
            *self.cmake,
            *(path.read_text() for path in sorted([*FOLDER.glob("*.cmake"), *FOLDER.glob("*.h")])),
        )
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


PORTABLE = Recipe(
    "every CPU of its kind, with kernels chosen where it runs",
    (
        "-DGGML_NATIVE=OFF",
        "-DGGML_BACKEND_DL=ON",
        "-DGGML_CPU_ALL_VARIANTS=ON",
        # Each library once, without copies under versioned names, where the loader looks.
        "-DCMAKE_PLATFORM_NO_VERSIONED_SONAME=ON",
        "-DCMAKE_INSTALL_BINDIR=llama_cpp/lib",
        "-DCMAKE_INSTALL_LIBDIR=llama_cpp/lib",
    ),
    is_portable=True,
)


def recipes() -> Iterator[Recipe]:
    """Ways to build on this machine, fastest first."""
    if shutil.which("nvcc") and run_quietly(["nvidia-smi", "-L"]):
        yield Recipe("CUDA", ("-DGGML_CUDA=ON", "-DCMAKE_CUDA_ARCHITECTURES=native"))
    if sys.platform == "darwin":
        yield Recipe("Metal")
        return
    yield Recipe(f"the CPU's own instructions{amx_note()}")
    if amx_note():
        without_amx = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
        yield Recipe(
            "the CPU's own instructions without AMX",
            (f"-DCMAKE_C_FLAGS={without_amx}", f"-DCMAKE_CXX_FLAGS={without_amx}"),
        )
    yield Recipe("portable instructions (GGML_NATIVE=OFF)", ("-DGGML_NATIVE=OFF",))


def amx_note() -> str:
    """``", with AMX"`` where the CPU has it, else an empty string."""
    return ", with AMX" if "amx_int8" in cpu_features().split() else ""


def cpu_features() -> str:
    """The CPU's instruction sets as the system names them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return " ".join([platform.machine(), *sorted(flags.partition(":")[2].split())])


def compiler_version() -> str:
    """First line of the C++ compiler's version. Raises BuildError where there is none."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if not compiler:
        raise BuildError(
            "No C++ compiler was found. Install one (Debian, Ubuntu: apt-get install g++; "
            "macOS: xcode-select --install) or set CXX, and run the same command again."
        )
    return subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]


def run_quietly(command: list[str]) -> bool:
    """Whether ``command`` exists and succeeds."""
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, capture_output=True).returncode == 0


def cache_folder() -> Path:
    """Where finished wheels are kept between set-ups."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "codeserve" / "llama-cpp"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder beside the cache's, so that finished work moves into it in one step."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
        yield Path(scratch)


def installed_key() -> str | None:
    """The key of the build in this environment, if this module put it there."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        return None
    stamp = Path(spec.origin).parent / STAMP
    return json.loads(stamp.read_text())["key"] if stamp.exists() else None


def pip(*arguments: str, environment: dict[str, str] | None = None) -> None:
    """Run pip of this environment. Raises BuildError with the end of its output."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(
        command,
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-25:])
        raise BuildError(f"{tail}\n\npip {arguments[0]} failed; the lines above say why.")


def source_archive(requirements: Path) -> Path:
    """The source distribution that ``requirements`` pins by hash, fetched once."""
    pin = re.search(r"^llama-cpp-python==(\S+)", requirements.read_text(), re.MULTILINE)
    if not pin:
        raise BuildError(f"{requirements} pins no llama-cpp-python==VERSION.")
    name = f"llama_cpp_python-{pin[1]}.tar.gz"
    archive = cache_folder() / name
    if not archive.exists():
        options = ["--no-deps", "--no-binary", "llama-cpp-python", "--require-hashes"]
        with scratch_folder() as scratch:
            pip("download", *options, "-d", str(scratch), "-r", str(requirements))
            (scratch / name).rename(archive)
    return archive


def build(recipe: Recipe, archive: Path, folder: Path) -> None:
    """Build the wheel of ``archive`` into ``folder``; the user's CMAKE_ARGS count too."""
    cmake = (
        "-DLLAVA_BUILD=OFF",
        f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={FOLDER / 'inject.cmake'}",
        *recipe.cmake,
    )
    environment = {
        "SKBUILD_CMAKE_ARGS": ";".join(cmake),
        "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count() or 1),
    }
    with scratch_folder() as scratch:
        options = ["--no-deps", "--no-cache-dir", "-w", str(scratch)]
        pip("wheel", *options, str(archive), environment=environment)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
        scratch.mkdir()


def install(recipe: Recipe, key: str, folder: Path) -> None:
    """Install the wheel in ``folder``; prove that one for this machine computes.

    Raises BuildError.
    """
    wheel = next(folder.glob("*.whl"))
    pip("install", "--no-deps", "--force-reinstall", str(wheel))
    if not recipe.is_portable:
        prove()
    package = importlib.metadata.distribution("llama-cpp-python").locate_file("llama_cpp")
    stamp = {"key": key, "recipe": recipe.name}
    (Path(str(package)) / STAMP).write_text(json.dumps(stamp))


def prove() -> None:
    """Compute with the installed build. Raises BuildError."""
    proof = subprocess.run(
        [sys.executable, "-m", "codeserve.engines.llama_cpp.proof"], capture_output=True, text=True
    )
    if proof.returncode:
        raise BuildError(f"{describe_exit(proof.returncode)}\n{proof.stderr[-2000:]}")


def describe_exit(returncode: int) -> str:
    """How a process ended, in words."""
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exit code {returncode}"


def main(requirements: Path, candidates: Iterable[Recipe]) -> None:
    """Make the first of ``candidates`` that works the installed build, and say which it is."""
    requirement = requirements.read_text()
    compiler = compiler_version()
    keys = {recipe.key(requirement, compiler): recipe for recipe in candidates}
    if installed := keys.get(installed_key() or ""):
        say(f"already built for {installed.name} by {compiler}: nothing to do")
        return
    failures: list[str] = []
    for key, recipe in keys.items():
        folder = cache_folder() / key
        try:
            if any(folder.glob("*.whl")):
                say(f"installing the earlier build for {recipe.name} by {compiler}")
            else:
                say(f"building for {recipe.name} by {compiler}; this takes some minutes")
                build(recipe, source_archive(requirements), folder)
            install(recipe, key, folder)
        except BuildError as error:
            failures.append(f"{recipe.name}: {error}")
            say(f"the build for {recipe.name} is not usable: {error}")
            continue
        proven = "installed" if recipe.is_portable else "installed and proven"
        say(f"{proven}: {recipe.name}, by {compiler}")
        return
    raise BuildError("No build of llama.cpp works on this machine.\n\n" + "\n\n".join(failures))


def say(line: str) -> None:
    """Tell the person at the terminal, at once."""
    sys.stdout.write(f"llama.cpp: {line}\n")
    sys.stdout.flush()


def read_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("requirements", type=Path, help="file that pins llama-cpp-python by hash")
    parser.add_argument("--portable", action="store_true", help="build for other machines' CPUs")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = read_arguments()
    try:
        main(arguments.requirements, [PORTABLE] if arguments.portable else recipes())
    except BuildError as error:
        sys.exit(f"llama.cpp: {error}")
