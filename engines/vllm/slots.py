"""Who may be computed by vLLM, and who waits: the same order and bounds as in the step engines."""

import asyncio
import time
from dataclasses import dataclass, field

from codeserve.engines.batching.admission import QueueLimits, queue_deadline
from codeserve.engines.batching.lane_queue import LaneQueue
from codeserve.engines.errors import ModelUnavailable
from codeserve.engines.types import GenerationRequest


@dataclass(eq=False)
class Turn:
    """A request that waits for a slot or has one."""

    request: GenerationRequest
    slot: asyncio.Future[ModelUnavailable | None]
    """Done when it has got a slot, or never will, with the reason."""
    came: float = field(default_factory=time.monotonic)
    """When it was queued, on the monotonic clock."""
    queued_seconds: float | None = None
    """How long it waited for its slot; None while it waits."""

    @property
    def is_queued(self) -> bool:
        """Whether it has not got a slot yet."""
        return self.queued_seconds is None

    def start(self) -> None:
        """Give it a slot."""
        self.queued_seconds = time.monotonic() - self.came
        if not self.slot.done():
            self.slot.set_result(None)


class Slots:
    """The requests that vLLM has at once, and the queue before them.

    vLLM's own queue knows strict priorities only, does not tell when it begins a request, and has
    no bounds of tokens; so it gets no more requests than it computes together.
    """

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._turns: dict[Turn, None] = {}
        """In the order in which they came."""
        self._queue = LaneQueue[Turn]()
        self._clock = 0
        """Tokens computed."""

    @property
    def running(self) -> int:
        """How many have a slot."""
        return len(self._turns) - len(self._queue)

    @property
    def queued(self) -> list[Turn]:
        """Those that wait for a slot, in the order in which they came."""
        return [turn for turn in self._turns if turn.is_queued]

    def enter(self, request: GenerationRequest) -> Turn:
        """Queue ``request``, or give it a slot if one is free. Raises QueueFull."""
        prompts = [len(turn.request.prompt_ids) for turn in self.queued]
        self._limits.check(len(request.prompt_ids), self.running, prompts)
        turn = Turn(request, asyncio.get_running_loop().create_future())
        self._turns[turn] = None
        self._queue.enter(turn, self._clock, len(request.prompt_ids))
        self._fill()
        return turn

    async def wait(self, turn: Turn) -> None:
        """Return when ``turn`` has a slot.

        Raises DeadlineExceeded where that is not within its ``queue_timeout``, and ModelUnavailable
        after ``close``.
        """
        timeout = turn.request.queue_timeout
        try:
            async with asyncio.timeout(timeout):
                end = await turn.slot
        except TimeoutError as error:
            assert timeout is not None
            raise queue_deadline(timeout) from error
        if end is not None:
            raise end

    def due(self, turn: Turn) -> int:
        """Who has the lowest number goes first where those that have slots must wait."""
        return self._queue.due(turn)

    def count(self, tokens: int) -> None:
        """So many tokens more have been computed."""
        self._clock += tokens

    def leave(self, turn: Turn) -> None:
        """Forget ``turn`` in any state; the next one gets its slot."""
        del self._turns[turn]
        self._queue.leave(turn)
        self._fill()

    def close(self, message: str) -> None:
        """Tell all who wait that they will get no slot."""
        for turn in self.queued:
            if not turn.slot.done():
                turn.slot.set_result(ModelUnavailable(message))

    def _fill(self) -> None:
        while len(self._queue) and self.running < self._limits.slots:
            self._queue.pop().start()
