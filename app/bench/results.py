"""What a run found, for tables, JSON and plots."""

from collections.abc import Iterable, Sequence

import msgspec

from codeserve.app.bench.record import Outcome, Record
from codeserve.app.bench.statistics import Figures, medians, summary


class Measurement(msgspec.Struct, frozen=True):
    """One run of one scenario."""

    scenario: str
    completed: int
    cancelled: int
    failed: int
    figures: Figures
    errors: tuple[str, ...]
    """Why requests failed, each reason once."""

    @classmethod
    def of(cls, scenario: str, records: Sequence[Record], own: Figures) -> "Measurement":
        """The summary of ``records`` with the scenario's own figures."""
        outcomes = [record.outcome for record in records]
        return cls(
            scenario=scenario,
            completed=outcomes.count(Outcome.COMPLETED),
            cancelled=outcomes.count(Outcome.CANCELLED),
            failed=outcomes.count(Outcome.FAILED),
            figures={**summary(records), **own},
            errors=_distinct(record.error for record in records if record.error is not None),
        )


class ScenarioResult(msgspec.Struct, frozen=True):
    """All runs of one scenario."""

    name: str
    completed: int
    cancelled: int
    failed: int
    errors: tuple[str, ...]
    medians: Figures
    """Of each figure over the rounds."""
    rounds: tuple[Figures, ...]

    @classmethod
    def of(cls, name: str, measurements: Sequence[Measurement]) -> "ScenarioResult":
        """Bring the rounds of the scenario called ``name`` together."""
        rounds = tuple(measurement.figures for measurement in measurements)
        return cls(
            name=name,
            completed=sum(measurement.completed for measurement in measurements),
            cancelled=sum(measurement.cancelled for measurement in measurements),
            failed=sum(measurement.failed for measurement in measurements),
            errors=_distinct(error for one in measurements for error in one.errors),
            medians=medians(rounds),
            rounds=rounds,
        )


class BenchResult(msgspec.Struct, frozen=True):
    """A whole run against one server."""

    url: str
    model: str
    seed: int
    rounds: int
    characters_per_token: float
    """Of the generated prompts, as the server counts tokens."""
    scenarios: tuple[ScenarioResult, ...]

    @property
    def errors(self) -> tuple[str, ...]:
        """Why requests failed, each reason once."""
        return _distinct(error for scenario in self.scenarios for error in scenario.errors)


def collect(measurements: Sequence[Measurement]) -> tuple[ScenarioResult, ...]:
    """The measurements by scenario, in the order of their first."""
    names = dict.fromkeys(measurement.scenario for measurement in measurements)
    return tuple(
        ScenarioResult.of(name, [one for one in measurements if one.scenario == name])
        for name in names
    )


def _distinct(errors: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(errors))
