"""Requests as OpenTelemetry spans."""

import time

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import Scope

from codeserve.app.edge.phases import phases_of
from codeserve.app.edge.record import RequestRecord
from codeserve.app.tracing.attributes import of_exchange, of_generation


class Traces:
    """Makes the spans of a request when it has ended: one of the whole, as a part of its client's
    trace, and within it one of each phase. Sending them is the provider's, on its own thread."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("codeserve")
        self._propagator = TraceContextTextMapPropagator()

    def finish(self, record: RequestRecord, scope: Scope) -> None:
        """Make the spans of a request that has ended; its record learns which trace has them."""
        wall = time.time() - time.perf_counter()

        def nanoseconds(moment: float) -> int:
            return int((wall + moment) * 1e9)

        phases = phases_of(record)
        span = self._tracer.start_span(
            f"{scope['method']} {record.route or ''}".strip(),
            self._propagator.extract(Headers(scope=scope)),
            SpanKind.SERVER,
            {**of_exchange(record, scope), **of_generation(record, phases)},
            start_time=nanoseconds(record.started),
        )
        record.trace_id = format_trace_id(span.get_span_context().trace_id)
        if _broke(record):
            span.set_status(Status(StatusCode.ERROR))
        within = set_span_in_context(span)
        for phase in phases:
            part = self._tracer.start_span(phase.name, within, start_time=nanoseconds(phase.start))
            part.end(nanoseconds(phase.end))
        span.end(nanoseconds(record.ended or time.perf_counter()))


def _broke(record: RequestRecord) -> bool:
    """Whether the server is at fault, also where that was after a stream had begun."""
    status = record.status or 0
    return status >= 500 or (status < 400 and record.outcome not in ("ok", "disconnected"))
