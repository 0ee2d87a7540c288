"""Runs scenarios against a server, round after round."""

from collections.abc import Sequence

from codeserve.app.bench.endpoint import Endpoint, EndpointError
from codeserve.app.bench.results import BenchResult, Measurement, collect
from codeserve.app.bench.source import SourceWriter
from codeserve.app.bench.workloads import Load, Scenario

CALIBRATION_TOKENS = 400


class Bench:
    """One run; what it is doing can be looked at meanwhile."""

    def __init__(
        self, endpoint: Endpoint, scenarios: Sequence[Scenario], *, rounds: int, seed: int
    ) -> None:
        """``seed``: decides every prompt. A server that has seen a seed may have its prompts in
        its cache."""
        self.scenarios = tuple(scenarios)
        self.rounds = rounds
        self.measured: list[Measurement] = []
        self.scenario: Scenario | None = None
        """The one that runs now, or ran last."""
        self.load: Load | None = None
        """What it has sent."""
        self._endpoint = endpoint
        self._seed = seed
        self._characters_per_token = 0.0

    async def run(self) -> BenchResult:
        """Run every scenario once in each round. Raises EndpointError if the server cannot count
        the tokens of a prompt; requests that fail later are part of the result."""
        await self.calibrate()
        for number in range(self.rounds):
            for scenario in self.scenarios:
                await self.measure(scenario, number)
        return BenchResult(
            url=self._endpoint.url,
            model=self._endpoint.model,
            seed=self._seed,
            rounds=self.rounds,
            characters_per_token=self._characters_per_token,
            scenarios=collect(self.measured),
        )

    async def calibrate(self) -> None:
        """Learn how long a prompt must be to have so many tokens, with one small request, which
        warms the server up as well. Raises EndpointError."""
        text = SourceWriter(f"{self._seed} calibration").file(CALIBRATION_TOKENS)
        tokens = await self._endpoint.count_tokens(text)
        if tokens < 1:
            raise EndpointError(f"{self._endpoint.url} says that a prompt has {tokens} tokens")
        self._characters_per_token = len(text) / tokens

    async def measure(self, scenario: Scenario, number: int) -> Measurement:
        """Run ``scenario`` with the prompts of round ``number``, after `calibrate`."""
        source = SourceWriter(f"{self._seed} {scenario.name} {number}", self._characters_per_token)
        async with Load(self._endpoint, source) as load:
            self.scenario, self.load = scenario, load
            own = await scenario.run(load)
        self.measured.append(Measurement.of(scenario.name, load.records(), own))
        return self.measured[-1]
