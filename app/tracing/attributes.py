"""What a span says of its request, under the names of OpenTelemetry's semantic conventions and,
where these have none, under vLLM's."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.types import Scope

from codeserve.app.edge.phases import Phase
from codeserve.app.edge.record import RequestRecord

Attributes = Mapping[str, Any]
"""Texts, numbers, truth values and lists of texts by their names."""

CHATS = ("/chat/completions", "/chat", "/messages", "/responses")
"""How the routes end that answer conversations; all others that generate continue a text."""

LATENCIES = {
    "queue": "gen_ai.latency.time_in_queue",
    "prefill": "gen_ai.latency.time_in_model_prefill",
    "decode": "gen_ai.latency.time_in_model_decode",
}
"""Names of the seconds that the phases took."""


def of_exchange(record: RequestRecord, scope: Scope) -> Attributes:
    """What every request has; nothing of its query, headers and body."""
    address, port = scope.get("server") or (None, None)
    return _known(
        {
            "http.request.method": scope["method"],
            "http.route": record.route,
            "http.response.status_code": record.status,
            "url.scheme": scope["scheme"],
            "url.path": scope["path"],
            "network.protocol.version": scope["http_version"],
            "server.address": address,
            "server.port": port,
            "error.type": None if record.outcome == "ok" else record.outcome,
            "gen_ai.request.id": record.id,
        }
    )


def of_generation(record: RequestRecord, phases: Sequence[Phase]) -> Attributes:
    """What a request that asks a model has."""
    if record.model is None:
        return {}
    operation = "chat" if (record.route or "").endswith(CHATS) else "text_completion"
    return _known(
        {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "codeserve",
            "gen_ai.request.model": record.model,
            "gen_ai.response.model": None if record.accepted is None else record.model,
            "gen_ai.request.max_tokens": record.max_tokens,
            "gen_ai.request.choice.count": record.choices,
            "gen_ai.request.stream": record.stream,
            "gen_ai.response.finish_reasons": record.finish_reasons or None,
            "codeserve.key": record.key,
            "codeserve.lane": record.lane.name.lower(),
            **_usage(record),
            **_latencies(record, phases),
        }
    )


def _usage(record: RequestRecord) -> Attributes:
    """Tokens, under today's names and the ones before them, which vLLM uses."""
    return {
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cached_tokens,
        "gen_ai.usage.output_tokens": record.completion_tokens,
        "gen_ai.usage.prompt_tokens": record.prompt_tokens,
        "gen_ai.usage.completion_tokens": record.completion_tokens,
    }


def _latencies(record: RequestRecord, phases: Sequence[Phase]) -> Attributes:
    ended = record.ended
    return {
        "gen_ai.latency.time_to_first_token": record.seconds_to_first_token,
        "gen_ai.latency.e2e": None if ended is None else ended - record.started,
        **{LATENCIES[phase.name]: phase.seconds for phase in phases},
    }


def _known(values: Attributes) -> Attributes:
    return {name: value for name, value in values.items() if value is not None}
