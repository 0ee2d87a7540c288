import socket
from typing import Any

import pytest

from codeserve.app.bench.endpoint import Endpoint, EndpointError
from codeserve.app.bench.record import Outcome
from tests.eventually import eventually


async def test_a_completion_is_recorded_with_the_servers_counts(bench_server: Any) -> None:
    async with Endpoint(bench_server.url, "fast") as endpoint:
        record = await endpoint.complete("def f():", 13).ended()

    assert record.outcome is Outcome.COMPLETED
    assert record.text == "return total\n"
    assert (record.prompt_tokens, record.reported_tokens) == (9, 13)
    assert record.sent < record.text_times[0] <= record.text_times[-1] <= record.ended


async def test_the_first_model_is_taken_if_none_is_named(bench_server: Any) -> None:
    async with Endpoint(f"{bench_server.url}/v1/") as endpoint:
        assert endpoint.model == "fast"
        assert await endpoint.count_tokens("abc") == 4


async def test_a_cancelled_completion_frees_its_slot(bench_server: Any) -> None:
    async with Endpoint(bench_server.url, "slow") as endpoint:
        completion = endpoint.complete("a", 4000)
        await completion.begun()
        assert completion.record().outcome is Outcome.RUNNING
        await completion.cancel()
        with bench_server.client() as client:
            await eventually(lambda: client.get("/v1/models/slow").json()["running"] == 0)

    record = completion.record()
    assert record.outcome is Outcome.CANCELLED
    assert record.text
    assert record.reported_tokens is None


async def test_a_cancel_after_the_end_changes_nothing(bench_server: Any) -> None:
    async with Endpoint(bench_server.url, "fast") as endpoint:
        completion = endpoint.complete("a", 2)
        ended = await completion.ended()
        await completion.cancel()
    assert completion.record() == ended


async def test_a_refused_completion_has_failed_with_the_servers_reason(bench_server: Any) -> None:
    async with Endpoint(bench_server.url, "fast") as endpoint:
        record = await endpoint.complete("a" * 5000, 1).ended()

    assert record.outcome is Outcome.FAILED
    assert record.error is not None
    assert "4096 tokens" in record.error


async def test_a_completion_that_takes_too_long_has_failed(bench_server: Any) -> None:
    async with Endpoint(bench_server.url, "slow", limit=0.2) as endpoint:
        record = await endpoint.complete("a", 4000).ended()

    assert record.outcome is Outcome.FAILED
    assert record.error == "no complete answer within 0.2 s"


async def test_no_server_is_said_so() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(EndpointError, match=f"no server answers at {url}"):
            await Endpoint(url).__aenter__()


async def test_an_unknown_model_is_said_so(bench_server: Any) -> None:
    async with Endpoint(bench_server.url, "none") as endpoint:
        with pytest.raises(EndpointError, match="does not exist"):
            await endpoint.count_tokens("a")
