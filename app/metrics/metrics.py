"""What Prometheus is told of the server and its models."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from starlette.types import Scope

from codeserve.app.edge.record import RequestRecord
from codeserve.app.manager.history import ModelHistory
from codeserve.app.manager.manager import ModelManager
from codeserve.app.metrics.disks import Disks
from codeserve.app.metrics.names import OF_MODELS, OF_REQUESTS, model_label
from codeserve.app.metrics.reading import Reading
from codeserve.app.metrics.request_tally import Outcome, RequestTally
from codeserve.app.metrics.vllm_names import VLLM, vllm_labels


class Metrics:
    """Counts requests as they end, and reads the rest from the manager at each scrape.

    Belongs to the manager's event loop.
    """

    def __init__(self, manager: ModelManager, disks: Disks) -> None:
        self._manager = manager
        self._disks = disks
        self._tallies: defaultdict[str, RequestTally] = defaultdict(RequestTally)
        self._unknown = RequestTally()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def finish(self, record: RequestRecord, scope: Scope) -> None:
        """Count a request that has ended."""
        if record.model is None or record.model not in self._manager.histories:
            self._unknown.add(record, others_wait=False)
            return
        others_wait = record.outcome == Outcome.DISCONNECTED and self._somebody_waits(record.model)
        self._tallies[record.model].add(record, others_wait=others_wait)

    async def exposition(self) -> bytes:
        """All metrics in Prometheus' text format.

        Not in OpenMetrics, as which the client library spoils the colons of vLLM's names.
        """
        disks = await self._disks.collect()
        snapshot = _Snapshot([*self._registry.collect(), *disks])
        return await asyncio.to_thread(generate_latest, snapshot)

    def collect(self) -> Iterator[Metric]:
        """Every metric of ours as it is now, but for disks, which are slow to ask."""
        yield from self._of_server()
        models = list(self._readings())
        unknown = Reading("", self._unknown, ModelHistory())
        for family in OF_REQUESTS:
            yield family.collect([*models, unknown], model_label)
        for family in OF_MODELS:
            yield family.collect(models, model_label)
        for family in VLLM:
            yield family.collect(models, vllm_labels)

    def _of_server(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "codeserve_build", "The version of codeserve.", {"version": version("codeserve")}
        )
        drain = self._manager.drain
        yield GaugeMetricFamily(
            "codeserve_draining", "1 while the server takes no new work, else 0.", drain.begun
        )
        yield GaugeMetricFamily(
            "codeserve_http_requests_in_flight",
            "HTTP requests that are being answered, but for those that only look.",
            drain.in_flight,
        )

    def _readings(self) -> Iterator[Reading]:
        statuses = {status.id: status for status in self._manager.models()}
        for model_id, history in self._manager.histories.items():
            yield Reading(model_id, self._tallies[model_id], history, statuses.get(model_id))

    def _somebody_waits(self, model_id: str) -> bool:
        return any(status.waiting for status in self._manager.models() if status.id == model_id)


class _Snapshot:
    """Metrics that change no more, so that any thread may write them down."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Sequence[Metric]:
        """Them."""
        return self._metrics
