import logging
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.app.conftest import RunningServer, fake_model, running_server
from tests.app.tracing.collector import Collector, collector, values
from tests.eventually import eventually

MARKER = "xyzzy-4711"
CHAT = {
    "model": "fast",
    "messages": [{"role": "user", "content": MARKER}],
    "max_tokens": 5,
}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Collector]:
    with collector() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def traced(receiver: Collector) -> Iterator[RunningServer]:
    """A server that sends its spans to ``receiver``, almost at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        patch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
        patch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        models = fake_model("fast"), fake_model("failing", fail_after=3)
        with running_server(*models, tracing=True) as server:
            yield server


@pytest.fixture
async def asks(traced: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=traced.url, timeout=30) as client:
        yield client


@pytest.fixture
def trace_id() -> str:
    return uuid.uuid4().hex


def part_of(trace_id: str, flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-{flags}", "tracestate": "vendor=a1"}


async def spans_of(receiver: Collector, trace_id: str, count: int) -> list[Any]:
    await eventually(lambda: len(receiver.trace(trace_id)) == count)
    return receiver.trace(trace_id)


async def test_a_request_is_part_of_its_clients_trace_with_a_span_for_each_phase(
    receiver: Collector, asks: httpx.AsyncClient, trace_id: str
) -> None:
    answer = await asks.post("/v1/chat/completions", json=CHAT, headers=part_of(trace_id))
    assert answer.status_code == 200
    whole, *phases = await spans_of(receiver, trace_id, 4)
    assert (whole.name, whole.kind) == ("POST /v1/chat/completions", whole.SPAN_KIND_SERVER)
    assert whole.parent_span_id.hex() == "00f067aa0ba902b7"
    assert whole.trace_state == "vendor=a1"
    assert [phase.name for phase in phases] == ["queue", "prefill", "decode"]
    assert {phase.parent_span_id for phase in phases} == {whole.span_id}
    queue, prefill, decode = phases
    assert queue.end_time_unix_nano == prefill.start_time_unix_nano
    assert prefill.end_time_unix_nano == decode.start_time_unix_nano
    assert whole.start_time_unix_nano < queue.start_time_unix_nano
    assert decode.end_time_unix_nano < whole.end_time_unix_nano


async def test_a_span_says_in_conventional_names_what_was_asked_and_what_it_cost(
    receiver: Collector, asks: httpx.AsyncClient, trace_id: str
) -> None:
    headers = {**part_of(trace_id), "x-request-id": "mine"}
    await asks.post("/v1/chat/completions", json={**CHAT, "stream": True}, headers=headers)
    whole, *_ = await spans_of(receiver, trace_id, 4)
    said = values(whole.attributes)
    assert said["http.request.method"] == "POST"
    assert said["http.route"] == said["url.path"] == "/v1/chat/completions"
    assert said["http.response.status_code"] == 200
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.request.model"] == said["gen_ai.response.model"] == "fast"
    assert said["gen_ai.request.id"] == "mine"
    assert said["gen_ai.request.stream"] is True
    assert said["gen_ai.request.max_tokens"] == said["gen_ai.usage.output_tokens"] == 5
    assert said["gen_ai.usage.input_tokens"] > len(MARKER)
    assert said["gen_ai.response.finish_reasons"] == ["length"]
    parts = ("queue", "model_prefill", "model_decode")
    assert (
        sum(said[f"gen_ai.latency.time_in_{part}"] for part in parts) < said["gen_ai.latency.e2e"]
    )
    assert "error.type" not in said
    assert receiver.resource["service.name"] == "codeserve"
    assert receiver.resource["deployment.environment.name"] == "test"


async def test_a_request_without_a_trace_begins_one_that_its_log_line_names(
    receiver: Collector, asks: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    def lines() -> list[dict[str, Any]]:
        return [vars(one) for one in caplog.records if vars(one).get("id") == "mine"]

    with caplog.at_level(logging.INFO, "codeserve.requests"):
        await asks.get("/v1/models", headers={"x-request-id": "mine"})
        await eventually(lines)
    (span,) = await spans_of(receiver, lines()[0]["trace_id"], 1)
    assert (span.name, span.parent_span_id) == ("GET /v1/models", b"")


async def test_what_the_client_does_not_sample_is_not_sent(
    receiver: Collector, asks: httpx.AsyncClient, trace_id: str
) -> None:
    await asks.get("/v1/models", headers=part_of(trace_id, flags="00"))
    sampled = uuid.uuid4().hex
    await asks.get("/v1/models", headers=part_of(sampled))
    await spans_of(receiver, sampled, 1)
    assert receiver.trace(trace_id) == []


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_probes_leave_no_trace(
    receiver: Collector, asks: httpx.AsyncClient, trace_id: str, path: str
) -> None:
    await asks.get(path, headers=part_of(trace_id))
    await asks.get("/none/of/these", headers=part_of(trace_id))
    (span,) = await spans_of(receiver, trace_id, 1)
    assert span.name == "GET"
    assert values(span.attributes)["error.type"] == "invalid_request_error"
    assert span.status.code == span.status.STATUS_CODE_UNSET


async def test_a_stream_that_breaks_is_the_servers_error(
    receiver: Collector, asks: httpx.AsyncClient, trace_id: str
) -> None:
    body = {**CHAT, "model": "failing", "stream": True}
    await asks.post("/v1/chat/completions", json=body, headers=part_of(trace_id))
    await eventually(lambda: receiver.trace(trace_id))
    whole, *_ = receiver.trace(trace_id)
    assert values(whole.attributes)["error.type"] == "engine_failure"
    assert whole.status.code == whole.status.STATUS_CODE_ERROR


async def test_spans_hold_no_text_of_requests_and_responses_no_trace(
    receiver: Collector, asks: httpx.AsyncClient, trace_id: str
) -> None:
    answer = await asks.post(
        f"/v1/chat/completions?q={MARKER}",
        json=CHAT,
        headers={**part_of(trace_id), "user-agent": MARKER, "authorization": f"Bearer {MARKER}"},
    )
    assert MARKER not in str(await spans_of(receiver, trace_id, 4))
    assert not {"traceparent", "tracestate"} & set(answer.headers)
    assert trace_id not in str(answer.headers)


async def test_requests_are_answered_while_the_collector_is_not(
    receiver: Collector, asks: httpx.AsyncClient
) -> None:
    receiver.open.clear()
    receiver.asked.clear()
    await asks.get("/v1/models")
    await eventually(receiver.asked.is_set)
    for _ in range(20):
        assert (await asks.get("/v1/models")).status_code == 200
    receiver.open.set()
