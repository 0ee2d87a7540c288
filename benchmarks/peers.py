"""Servers to compare, each started as a process of its own on a free port of this machine."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

START_SECONDS = 300
STOP_SECONDS = 20
MODEL_ID = "bench"
CODESERVE, LLAMA_SERVER, LLAMA_CPP_PYTHON = "codeserve", "llama-server", "llama-cpp-python"

XLLAMACPP = """
import sys, threading, xllamacpp
model, port, threads, slots, context = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
params.port = int(port)
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
params.n_parallel = int(slots)
params.n_ctx = int(context)
params.verbosity = 0
server = xllamacpp.Server(params)
threading.Event().wait()
"""
"""llama-server with its defaults: prompt cache, continuous batching and flash attention are on."""

LLAMA_CPP_SERVER = """
import runpy, sys
sys.path.append(sys.argv.pop(1))
runpy.run_module("llama_cpp.server", run_name="__main__", alter_sys=True)
"""
"""From this environment's llama_cpp, and what only its server needs from another's packages."""


class PeerError(Exception):
    """A peer that cannot be measured; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What every peer gets alike."""

    model: Path
    threads: int
    slots: int
    context: int
    """Tokens of one request; all slots together have ``slots`` times as many."""
    options: str = ""
    """More of codeserve's options for the model, as lines of TOML."""
    peer_python: Path | None = None
    """The interpreter of a virtual environment with the peers' packages."""

    @property
    def total_context(self) -> int:
        """Tokens of all slots together."""
        return self.slots * self.context

    def peers(self) -> str:
        """The interpreter of the peers. Raises PeerError if there is none."""
        if self.peer_python is None:
            raise PeerError("give an interpreter with xllamacpp by --peer-python")
        return str(self.peer_python)


def codeserve(setup: Setup, port: int, folder: Path) -> list[str]:
    config = folder / "codeserve.toml"
    config.write_text(
        f"[[models]]\nid = {json.dumps(MODEL_ID)}\npath = {json.dumps(str(setup.model))}\n"
        f"max_concurrency = {setup.slots}\ncontext_length = {setup.context}\n"
        f"[models.options]\nn_threads = {setup.threads}\nn_threads_batch = {setup.threads}\n"
        f"{setup.options}\n"
    )
    command = Path(sys.executable).with_name("codeserve")
    return [str(command), "serve", "--config", str(config), "--port", str(port)]


def llama_server(setup: Setup, port: int, folder: Path) -> list[str]:
    numbers = (port, setup.threads, setup.slots, setup.total_context)
    return [setup.peers(), "-c", XLLAMACPP, str(setup.model), *map(str, numbers)]


def llama_cpp_python(setup: Setup, port: int, folder: Path) -> list[str]:
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    options = {
        "model": setup.model,
        "model_alias": MODEL_ID,
        "port": port,
        "n_threads": setup.threads,
        "n_threads_batch": setup.threads,
        "n_ctx": setup.total_context,
        "interrupt_requests": False,
        "verbose": False,
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return [sys.executable, "-c", LLAMA_CPP_SERVER, _output(setup.peers(), where), *arguments]


PEERS: Mapping[str, Callable[[Setup, int, Path], list[str]]] = {
    CODESERVE: codeserve,
    LLAMA_SERVER: llama_server,
    LLAMA_CPP_PYTHON: llama_cpp_python,
}
"""Name of a peer to the command that starts it on a port, with a folder for its files."""


class Peer:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, start_seconds: float) -> None:
        self.url = url
        self.start_seconds = start_seconds
        """From the start of the process to the end of its first completion."""
        self._process = psutil.Process(process.pid)

    def cpu_seconds(self) -> float:
        """CPU time of all its processes since they were started."""
        return sum(sum(process.cpu_times()[:2]) for process in self._processes())

    def memory(self) -> dict[str, float]:
        """Resident MB of all its processes: ``rss``, and ``pss``, which counts what they share
        once, where the system tells it."""
        infos = [process.memory_full_info() for process in self._processes()]
        sizes = {"rss": sum(info.rss for info in infos) / 1e6}
        if all(hasattr(info, "pss") for info in infos):
            sizes["pss"] = sum(info.pss for info in infos) / 1e6
        return sizes

    def _processes(self) -> Sequence[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]


@contextmanager
def started(name: str, setup: Setup, folder: Path) -> Iterator[Peer]:
    """The peer called ``name`` until the block ends. Raises PeerError if it does not start."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    command = PEERS[name](setup, port, folder)
    log = folder / "log"
    with log.open("wb") as output:
        begun = time.perf_counter()
        try:
            process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        except OSError as error:
            raise PeerError(f"{command[0]}: {error.strerror}") from error
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for_completion(process, url, log)
        yield Peer(process, url, time.perf_counter() - begun)
    finally:
        _end(process)


def version(name: str, setup: Setup) -> str:
    """Which release of the peer called ``name`` is compared. Raises PeerError."""
    packages = {CODESERVE: "codeserve", LLAMA_SERVER: "xllamacpp"}
    package = packages.get(name, "llama-cpp-python")
    python = setup.peers() if name == LLAMA_SERVER else sys.executable
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return f"{package} {_output(python, code)}"


def _output(python: str, code: str) -> str:
    try:
        done = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerError(f"{python}: {error}") from error
    return done.stdout.strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_completion(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    body = {"model": MODEL_ID, "prompt": "def main():", "max_tokens": 1, "temperature": 0}
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(base_url=url, timeout=START_SECONDS) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise PeerError(f"it ended with code {process.returncode}: {_last_line(log)}")
            try:
                if client.post("/v1/completions", json=body).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.01)
    raise PeerError(f"no completion within {START_SECONDS} s: {_last_line(log)}")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote no log")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
