"""A model over two machines, which are two families of processes here."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from codeserve.engines import registry
from codeserve.engines.base import Engine
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.types import EngineConfig, Grammar, GrammarKind, SamplingParams
from codeserve.engines.vllm.follower import follower_args
from codeserve.engines.worker import __path__ as worker_path
from tests.engines.contract import CONTEXT, OPTIONS, StartEngine, a_request, tokens_of

LEFT_SECONDS = 20


def a_config(folder: Path, **options: Any) -> EngineConfig:
    several: Mapping[str, Any] = {
        "nnodes": 2,
        "tensor_parallel_size": 2,
        "master_addr": "127.0.0.1",
        "seed": 1,
    }
    return EngineConfig(
        engine="vllm",
        path=str(folder),
        context_length=CONTEXT,
        max_concurrency=2,
        options={**OPTIONS["vllm"], **several, **options},
    )


@pytest.fixture
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_HOST_IP", "127.0.0.1")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")


def a_free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@asynccontextmanager
async def following(config: EngineConfig) -> AsyncIterator[psutil.Process]:
    start = Path(worker_path[0], "start.py")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-u", str(start), "follow", "--node-rank", "1"),
        stdin=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(config))
    process.stdin.close()
    try:
        yield psutil.Process(process.pid)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answers(engine: Engine) -> list[list[int]]:
    """Greedy tokens, free and by a grammar."""
    digits = SamplingParams(temperature=0.0, grammar=Grammar(GrammarKind.REGEX, "[0-9]{4}"))
    stop_ids = engine.info.variant.stop_ids
    return [
        await tokens_of(engine, a_request(engine, "x = 1\n" * 20, max_tokens=12)),
        await tokens_of(engine, a_request(engine, sampling=digits, stop_ids=stop_ids)),
    ]


@pytest.mark.usefixtures("on_loopback")
async def test_two_machines_answer_as_one_does_and_the_follower_ends_with_its_leader(
    start_engine: StartEngine, tiny_deepseek_folder: Path
) -> None:
    config = a_config(tiny_deepseek_folder, master_port=a_free_port())
    leader = registry.create(config)
    async with following(config) as follower:
        await leader.start(lambda phase, fraction: None)
        try:
            family = [follower, *follower.children(recursive=True)]
            assert leader.info.settings["tensor_parallel_size"] == 2
            answered = await answers(leader)
        finally:
            await leader.stop()
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=LEFT_SECONDS)
        assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert answered == await answers(await start_engine(2))
    assert leader.tokenizer.decode(answered[1]).isdigit()


@pytest.mark.parametrize(
    ("rank", "options", "said"),
    [
        (0, {}, "from 1 to options.nnodes less 1, not 0"),
        (2, {}, "options.nnodes is 2"),
        (1, {"seed": None}, "Set options.seed"),
    ],
)
def test_a_follower_that_would_differ_from_its_leader_does_not_start(
    rank: int, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    config = a_config(tmp_path)
    kept = {name: value for name, value in config.options.items() if name not in options}
    with pytest.raises(ModelLoadError, match=said):
        follower_args(msgspec.structs.replace(config, options=kept), rank)
