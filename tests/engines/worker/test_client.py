import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import uvloop

from codeserve.engines.errors import (
    ContextLengthExceeded,
    EngineFailure,
    EngineRestarted,
    InvalidRequest,
    ModelLoadError,
    ModelUnavailable,
    RequestTooLarge,
)
from codeserve.engines.types import FinishReason, TextRequest
from codeserve.engines.worker.client import TextStream, WorkerClient
from codeserve.engines.worker.wire import MAX_FRAME_BYTES, Tokenized
from codeserve.model_specs.segments import Content, Control
from tests.eventually import eventually

SCRIPT = "0123456789"

Ask = Callable[..., TextRequest]
Connect = Callable[[], Awaitable[Any]]


async def read(stream: TextStream) -> str:
    return "".join([delta.text async for delta in stream])


async def test_a_generation_streams(connect: Connect, ask: Ask) -> None:
    connection = await connect()
    await connection.load(script=SCRIPT)
    stream = await connection.client.generate(ask("hello", max_tokens=25))
    deltas = [delta async for delta in stream]
    assert stream.prompt_tokens == 5
    assert "".join(delta.text for delta in deltas) == "0123456789012345678901234"
    assert deltas[-1].finish_reason is FinishReason.LENGTH
    assert all(delta.finish_reason is None for delta in deltas[:-1])


async def test_streams_run_side_by_side(connect: Connect, ask: Ask) -> None:
    connection = await connect()
    await connection.load(script=SCRIPT)
    streams = [await connection.client.generate(ask(max_tokens=n)) for n in (5, 10, 15)]
    assert await asyncio.gather(*map(read, streams)) == [SCRIPT[:5], SCRIPT, SCRIPT + SCRIPT[:5]]


async def test_texts_become_tokens_and_tokens_texts(connect: Connect) -> None:
    connection = await connect()
    await connection.load()
    tokens = await connection.client.tokenize((Control("<bos>"), Content("é<eos>")))
    assert tokens.token_ids == (256, *"é<eos>".encode())
    assert tokens.spellings[:3] == (b"<bos>", b"\xc3", b"\xa9")
    assert await connection.client.detokenize(tokens.token_ids) == "<bos>é<eos>"
    assert await connection.client.detokenize([0xC3, 257]) == "\ufffd<eos>"


async def test_what_is_no_token_or_no_text_is_refused(connect: Connect) -> None:
    connection = await connect()
    await connection.load()
    with pytest.raises(InvalidRequest, match="Token id 258 is outside"):
        await connection.client.detokenize([258])
    with pytest.raises(InvalidRequest, match="surrogate"):
        await connection.client.tokenize((Content("\ud800"),))
    with pytest.raises(InvalidRequest, match="no token '<other>'"):
        await connection.client.tokenize((Control("<other>"),))


def test_whoever_asks_while_the_worker_goes_is_told_that_it_is_lost(tmp_path: Path) -> None:
    """On the server's event loop, which closes a broken pipe before its end has been read."""

    async def ask_until_it_is_gone(path: Path) -> set[type[BaseException]]:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            client = await WorkerClient.connect(str(path))
            worker, _ = listener.accept()
            going = asyncio.create_task(asyncio.to_thread(worker.close))
            asked: list[asyncio.Task[Tokenized]] = []
            while not going.done() or len(asked) < 500:
                asked.append(asyncio.create_task(client.tokenize((Content("x" * 5000),))))
                await asyncio.sleep(0)
            ends = await asyncio.gather(*asked, return_exceptions=True)
            await client.close()
        return set(map(type, ends))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for attempt in range(20):
            assert runner.run(ask_until_it_is_gone(tmp_path / str(attempt))) == {EngineRestarted}


async def test_a_question_fails_when_the_worker_ends(connect: Connect) -> None:
    connection = await connect()
    await connection.load()
    asked = asyncio.create_task(connection.client.tokenize((Content("x" * 10_000_000),)))
    await asyncio.sleep(0)
    await connection.client.close()
    with pytest.raises(EngineRestarted):
        await asked


async def test_loading_reports_its_phases(connect: Connect) -> None:
    connection = await connect()
    phases: list[str] = []
    config = connection.config(script=SCRIPT)
    info = await connection.client.load(config, lambda phase, fraction: phases.append(phase))
    assert info.engine == "fake"
    assert phases == ["weights", "weights", "proving"]


async def test_a_model_that_cannot_be_loaded_says_why_and_the_worker_exits(
    connect: Connect,
) -> None:
    connection = await connect()
    with pytest.raises(ModelLoadError, match="the disk is on fire"):
        await connection.load(fail_load="the disk is on fire")
    assert await connection.worker.wait() == "the worker exited with status 1"


async def test_a_refusal_is_raised_before_any_delta(connect: Connect, ask: Ask) -> None:
    connection = await connect()
    await connection.load()
    with pytest.raises(ContextLengthExceeded, match="4096") as refusal:
        await connection.client.generate(ask("x" * 5000))
    assert refusal.value.code == "context_length_exceeded"


async def test_a_request_that_fits_no_frame_is_refused(connect: Connect, ask: Ask) -> None:
    connection = await connect()
    await connection.load()
    with pytest.raises(RequestTooLarge):
        await connection.client.generate(ask("x" * MAX_FRAME_BYTES))
    assert await read(await connection.client.generate(ask(max_tokens=3))) == "All"


async def test_half_a_surrogate_pair_is_refused(connect: Connect, ask: Ask) -> None:
    connection = await connect()
    await connection.load()
    with pytest.raises(InvalidRequest, match="surrogate"):
        await connection.client.generate(ask("\ud83d"))


async def test_a_slow_reader_loses_no_text(connect: Connect, ask: Ask) -> None:
    connection = await connect()
    await connection.load(script=SCRIPT)
    slow = await connection.client.generate(ask(max_tokens=1000))
    await read(await connection.client.generate(ask(max_tokens=1200)))
    assert await read(slow) == SCRIPT * 100


async def test_closing_a_stream_frees_its_slot(connect: Connect, ask: Ask) -> None:
    connection = await connect()
    client = connection.client
    await connection.load(step_seconds=0.001)
    stream = await client.generate(ask())
    await anext(stream)
    await eventually(lambda: client.engine_load.running == 1)
    await stream.aclose()
    await eventually(lambda: client.engine_load.running == 0)
    assert [delta async for delta in stream] == []


async def test_two_hundred_cancelled_requests_leave_every_slot_free(
    connect: Connect, ask: Ask
) -> None:
    connection = await connect()
    client = connection.client
    await connection.load(step_seconds=0.001)

    async def generate(deltas: int) -> None:
        async with aclosing(await client.generate(ask())) as stream:
            for _ in range(deltas):
                await anext(stream)

    async def cancel(turns: int) -> None:
        task = asyncio.create_task(generate(1000))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    for number in range(20):
        await asyncio.gather(*(generate(deltas % 3) for deltas in range(5)))
        await asyncio.gather(*(cancel(number) for _ in range(5)))
    seen = client.heartbeats
    await eventually(lambda: client.heartbeats > seen + 1)
    load = client.engine_load
    assert (load.running, load.waiting) == (0, 0)
    assert await read(await client.generate(ask(max_tokens=3))) == "All"


async def test_a_worker_killed_in_mid_stream_fails_every_request(
    connect: Connect, ask: Ask
) -> None:
    connection = await connect()
    await connection.load(step_seconds=0.01)
    streams = [await connection.client.generate(ask()) for _ in range(2)]
    for stream in streams:
        await anext(stream)
    os.kill(connection.worker.pid, signal.SIGKILL)
    for stream in streams:
        with pytest.raises(EngineRestarted) as failure:
            await read(stream)
        assert isinstance(failure.value.__cause__, ConnectionError)
    with pytest.raises(EngineRestarted):
        await connection.client.generate(ask())


async def test_a_worker_that_is_killed_while_loading_fails_the_load(connect: Connect) -> None:
    connection = await connect()
    loading = asyncio.create_task(connection.load(load_seconds=60.0))
    await asyncio.sleep(0)
    os.kill(connection.worker.pid, signal.SIGKILL)
    with pytest.raises(EngineRestarted):
        await loading


async def test_a_step_that_fails_fails_every_request_and_ends_the_worker(
    connect: Connect, ask: Ask
) -> None:
    connection = await connect()
    await connection.load(step_seconds=0.01, fail_after=20)
    streams = [await connection.client.generate(ask()) for _ in range(3)]
    for stream in streams:
        with pytest.raises(EngineFailure, match="told to fail after 20 steps"):
            await read(stream)
    assert await connection.worker.wait() == "the worker exited with status 1"


async def test_a_shutdown_gives_its_reason_to_requests_in_flight_and_ends_the_worker(
    connect: Connect, ask: Ask
) -> None:
    connection = await connect()
    await connection.load(step_seconds=0.01)
    stream = await connection.client.generate(ask())
    connection.client.shut_down(ModelUnavailable("unloaded"))
    with pytest.raises(ModelUnavailable, match="unloaded"):
        await read(stream)
    assert await connection.worker.wait() == "the worker exited with status 0"


async def test_heartbeats_flow_while_a_model_loads(connect: Connect) -> None:
    connection = await connect()
    loading = asyncio.create_task(connection.load(load_seconds=60.0))
    await eventually(lambda: connection.client.heartbeats >= 2)
    assert not loading.done()
    loading.cancel()


async def test_a_request_is_not_held_up_by_the_tokenising_of_a_long_one(
    connect: Connect, ask: Ask
) -> None:
    connection = await connect()
    await connection.load(script=SCRIPT)
    long = TextRequest(id="long", prompt=tuple(Content("word " * 200_000) for _ in range(10)))
    refusal = asyncio.create_task(connection.client.generate(long))
    assert await read(await connection.client.generate(ask(max_tokens=3))) == "012"
    assert not refusal.done()
    with pytest.raises(ContextLengthExceeded):
        await refusal
