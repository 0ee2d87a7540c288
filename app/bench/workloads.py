"""What is asked of a server: each workload is one or more scenarios, each a coroutine."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from codeserve.app.bench.endpoint import Completion, Endpoint
from codeserve.app.bench.record import Outcome, Record
from codeserve.app.bench.source import SourceWriter
from codeserve.app.bench.statistics import Figures, copied_share, percentiles

KEY_SECONDS = 0.15
PAUSE_SECONDS = 1.0
BURSTS, KEYS_PER_BURST = 4, 10


class Load:
    """What one run of a scenario has sent; leaving it cancels what still runs."""

    def __init__(self, endpoint: Endpoint, source: SourceWriter) -> None:
        self.source = source
        self.completions: list[Completion] = []
        """In the order of sending."""
        self._endpoint = endpoint

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(completion.cancel() for completion in self.completions))

    def send(self, prompt: str, max_tokens: int) -> Completion:
        """Send a completion."""
        completion = self._endpoint.complete(prompt, max_tokens)
        self.completions.append(completion)
        return completion

    def records(self) -> list[Record]:
        """What is known of every completion."""
        return [completion.record() for completion in self.completions]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Sends its requests, waits for their end, and gives the figures that only it has."""

    name: str
    run: Callable[[Load], Awaitable[Figures]]


async def single(load: Load) -> Figures:
    """One cold prompt of 512 tokens, 64 tokens of output."""
    tokens = 512
    record = await load.send(load.source.file(tokens), 64).ended()
    return {"prompt_rate": (record.prompt_tokens or tokens) / record.ttft} if record.ttft else {}


async def concurrency(streams: int, load: Load) -> Figures:
    """``streams`` different prompts of 64 tokens at once, 32 tokens of output each."""
    await _all_ended([load.send(load.source.file(64), 32) for _ in range(streams)])
    return {}


async def keystroke(load: Load) -> Figures:
    """A file of 2,000 tokens is typed into: 4 bursts of 10 keys. Each key cancels the request of
    the key before and sends its own; after a burst the suggestion is waited for."""
    file, typed = load.source.file(2000), load.source.fragment(BURSTS * KEYS_PER_BURST)
    for key in range(1, BURSTS * KEYS_PER_BURST + 1):
        completion = load.send(file + typed[:key], 20)
        await asyncio.sleep(KEY_SECONDS)
        if key % KEYS_PER_BURST:
            await completion.cancel()
            continue
        await asyncio.sleep(PAUSE_SECONDS - KEY_SECONDS)
        last = await completion.ended()
    return {"last_ttft": last.ttft} if last.ttft is not None else {}


async def shared_prefix(load: Load) -> Figures:
    """8 requests at once that share 750 tokens and differ in the last 16; 16 tokens of output."""
    shared = load.source.file(750)
    await _all_ended([load.send(shared + load.source.fragment(16), 16) for _ in range(8)])
    return {}


async def long_prefill(load: Load) -> Figures:
    """While 4 streams decode 200 tokens each, a cold prompt of 2,000 tokens comes."""
    streams = [load.send(load.source.file(64), 200) for _ in range(4)]
    await asyncio.gather(*(stream.begun() for stream in streams))
    long = await load.send(load.source.file(2000), 8).ended()
    records = await _all_ended(streams)
    if long.ttft is None:
        return {}
    gaps = [
        gap for record in records for gap in record.gaps_within(long.sent, long.sent + long.ttft)
    ]
    return {"long_ttft": long.ttft, **percentiles("beside_gap", gaps, 50, 99)}


async def edit(load: Load) -> Figures:
    """A file of some 400 tokens is copied, 300 tokens of it: it stands in the prompt twice and has
    begun a third time. The beginning does not end with a line break: in the file that is one token
    with the indentation behind it, and a tiny model does not go on from half of it."""
    file = load.source.varied_file()
    beginning = "".join(file.splitlines(keepends=True)[:3]).rstrip()
    record = await load.send(f"{file}\n{file}\n{beginning}", 300).ended()
    if record.outcome is not Outcome.COMPLETED:
        return {}
    return {"copied_share": copied_share(record.text, file)}


async def decode(load: Load) -> Figures:
    """16 different prompts of 16 tokens at once, 64 tokens of output each."""
    await _all_ended([load.send(load.source.fragment(16), 64) for _ in range(16)])
    return {}


async def _all_ended(completions: Sequence[Completion]) -> Sequence[Record]:
    return await asyncio.gather(*(completion.ended() for completion in completions))


WORKLOADS: Mapping[str, Callable[[Sequence[int]], Sequence[Scenario]]] = {
    "single": lambda _: [Scenario("single", single)],
    "concurrency": lambda widths: [
        Scenario(f"concurrency-{width}", partial(concurrency, width)) for width in widths
    ],
    "keystroke": lambda _: [Scenario("keystroke", keystroke)],
    "shared-prefix": lambda _: [Scenario("shared-prefix", shared_prefix)],
    "long-prefill": lambda _: [Scenario("long-prefill", long_prefill)],
    "edit": lambda _: [Scenario("edit", edit)],
    "decode": lambda _: [Scenario("decode", decode)],
}
"""Name of a workload to its scenarios for the widths of the concurrency sweep."""


def scenarios(names: Sequence[str], widths: Sequence[int]) -> tuple[Scenario, ...]:
    """The scenarios of the workloads called ``names``, or of all. Raises KeyError."""
    return tuple(scenario for name in names or WORKLOADS for scenario in WORKLOADS[name](widths))
