"""Where spans go: what the environment's ``OTEL_`` variables say, in the words of OpenTelemetry."""

import atexit
import os
import time
from collections.abc import Callable
from importlib.metadata import version
from threading import Event, Thread

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from codeserve.app.setting_problems import SettingsError

CLOSING_SECONDS = 3.0
"""What spans that still wait get to be sent in when the process ends."""

EXPORTER = "OTEL_TRACES_EXPORTER"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
"""The first one that is set counts."""


def open_provider() -> TracerProvider:
    """Makes spans and sends them, in batches from a thread of its own, until the process ends.

    Raises SettingsError and ImportError as ``choose_exporter`` does.
    """
    ours = {"service.name": "codeserve", "service.version": version("codeserve")}
    theirs = OTELResourceDetector().detect()
    resource = Resource.create().merge(Resource(ours)).merge(theirs)
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    if (choice := choose_exporter()) is not None:
        exporter = choice()
        provider.add_span_processor(BatchSpanProcessor(exporter))
        atexit.register(_close, provider, _deadline(exporter))
    return provider


def _close(provider: TracerProvider, closing: Event) -> None:
    """Send what still waits."""
    closing.set()
    provider.shutdown()


def _deadline(exporter: SpanExporter) -> Event:
    """An event, some seconds after which ``exporter`` gives up, whatever its collector does. Its
    thread begins now, as none can when the process ends."""
    closing = Event()

    def give_up() -> None:
        closing.wait()
        time.sleep(CLOSING_SECONDS)
        exporter.shutdown()

    Thread(target=give_up, name="tracing-deadline", daemon=True).start()
    return closing


def choose_exporter() -> Callable[[], SpanExporter] | None:
    """What sends the spans; None: nothing does.

    Raises SettingsError for a variable that names none of those, and ImportError for a library
    that is missing.
    """
    match os.environ.get(EXPORTER) or "otlp":
        case "otlp":
            return _otlp_exporter()
        case "console":
            return ConsoleSpanExporter
        case "none":
            return None
        case unknown:
            raise SettingsError(f"{EXPORTER}: otlp, console and none are known, not {unknown!r}")


def _otlp_exporter() -> Callable[[], SpanExporter]:
    variable = next((name for name in PROTOCOLS if os.environ.get(name)), PROTOCOLS[-1])
    match os.environ.get(variable) or "http/protobuf":
        case "http/protobuf":
            from opentelemetry.exporter.otlp.proto.http import trace_exporter as http

            return http.OTLPSpanExporter
        case "grpc":
            from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc

            return grpc.OTLPSpanExporter
        case unknown:
            raise SettingsError(f"{variable}: http/protobuf and grpc are known, not {unknown!r}")
