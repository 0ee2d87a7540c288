"""A metric: its name, what it says, and where the values of each model come from."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.samples import Sample

from codeserve.app.distribution import Distribution
from codeserve.app.manager.status import ModelStatus
from codeserve.app.metrics.reading import Reading

Value = float | Distribution


@dataclass(frozen=True, kw_only=True)
class Family:
    """The values of all models under one name."""

    name: str
    """Without what Prometheus appends to the names of counters and histograms."""
    documentation: str
    kind: str
    """``gauge``, ``counter`` or ``histogram``."""
    labels: tuple[str, ...] = ()
    """What tells the values of one model apart."""
    read: Callable[[Reading], Mapping[tuple[str, ...], Value]]
    """The values of one model by those of ``labels``."""

    def collect(
        self, readings: Iterable[Reading], named: Callable[[Reading], Mapping[str, str]]
    ) -> Metric:
        """The values of ``readings``; ``named`` gives the labels that name a model."""
        metric = Metric(self.name, self.documentation, self.kind)
        for reading in readings:
            names = named(reading)
            for key, value in self.read(reading).items():
                labels = {**names, **dict(zip(self.labels, key, strict=True))}
                metric.samples.extend(self._samples(labels, value))
        return metric

    def _samples(self, labels: dict[str, str], value: Value) -> Iterator[Sample]:
        if isinstance(value, Distribution):
            for bound, count in value.cumulative():
                yield Sample(f"{self.name}_bucket", {**labels, "le": bound}, count)
            yield Sample(f"{self.name}_count", labels, value.count)
            yield Sample(f"{self.name}_sum", labels, value.sum)
        else:
            yield Sample(self.name + ("_total" if self.kind == "counter" else ""), labels, value)


def gauge(name: str, documentation: str, read: Callable[[ModelStatus], float]) -> Family:
    """A number of this moment, of the models that are here."""

    def of(reading: Reading) -> Mapping[tuple[str, ...], float]:
        return {} if reading.status is None else {(): read(reading.status)}

    return Family(name=name, documentation=documentation, kind="gauge", read=of)


def counter(name: str, documentation: str, read: Callable[[Reading], float]) -> Family:
    """A number that only grows."""
    return Family(
        name=name,
        documentation=documentation,
        kind="counter",
        read=lambda reading: {(): read(reading)},
    )


def counters(
    name: str, documentation: str, label: str, read: Callable[[Reading], Counter[str]]
) -> Family:
    """Numbers that only grow, by ``label``."""
    return Family(
        name=name,
        documentation=documentation,
        kind="counter",
        labels=(label,),
        read=lambda reading: {(key,): value for key, value in read(reading).items()},
    )


def histogram(name: str, documentation: str, read: Callable[[Reading], Distribution]) -> Family:
    """How many values there have been of which size."""
    return Family(
        name=name,
        documentation=documentation,
        kind="histogram",
        read=lambda reading: {(): read(reading)},
    )
