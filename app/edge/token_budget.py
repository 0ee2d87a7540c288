"""The tokens of its key that one request may use."""

from typing import TYPE_CHECKING

from starlette.types import Scope

from codeserve.app.edge.refusals import KeyTokensUsedUp
from codeserve.app.keys.key import ApiKey
from codeserve.app.keys.window import Window
from codeserve.engines.errors import InvalidRequest

if TYPE_CHECKING:
    from codeserve.app.keys.allowances import Allowances
    from codeserve.app.keys.meter import Reservation

STEP = 256
"""Tokens that a choice without ``max_tokens`` reserves at a time."""


class TokenBudget:
    """Counts tokens of a key before a request uses them, and takes those off again that it has not
    used when it has ended."""

    def __init__(self, allowances: "Allowances", key: ApiKey, limit: int) -> None:
        """``limit``: tokens of ``key`` in a minute."""
        self.window: Window | None = None
        """What is left of the limit; None: nothing has been asked for."""
        self._allowances = allowances
        self._key = key
        self._limit = limit
        self._reservations: list[Reservation] = []
        self._reserved = 0

    async def reserve(self, prompt: int, generated: int) -> None:
        """Count the tokens of a prompt and those that may be generated.

        Raises InvalidRequest where they never fit into the limit, and KeyTokensUsedUp where they do
        not for now.
        """
        if prompt + generated > self._limit:
            raise InvalidRequest(
                f"The request may use {prompt + generated} tokens, {prompt} of its prompt and "
                f"{generated} generated ones, but the API key {self._key.name!r} may only use "
                f"{self._limit} per minute. Shorten the prompt, or ask for fewer tokens.",
                param="max_tokens",
                code="tokens_per_minute_exceeded",
            )
        await self._take(prompt + generated)

    async def cover(self, used: int) -> None:
        """Count more tokens if those reserved are not ``used`` in all. Raises KeyTokensUsedUp."""
        if used > self._reserved:
            await self._take(min(max(STEP, used - self._reserved), self._limit))

    async def settle(self, used: int) -> None:
        """Give back all but what has been ``used``."""
        unused = self._reserved - used
        while unused > 0:
            reservation = self._reservations.pop()
            tokens = min(unused, reservation.tokens)
            unused -= tokens
            await self._allowances.give_back(reservation, tokens)

    async def _take(self, tokens: int) -> None:
        self.window, reservation = await self._allowances.reserve(self._key, self._limit, tokens)
        if reservation is None:
            raise KeyTokensUsedUp(
                f"The API key {self._key.name!r} may use {self._limit} tokens per minute. "
                f"{self.window.remaining} are left, and the request needs {tokens}"
                f"{' more' if self._reserved else ''}.",
                retry_after=self.window.reset,
            )
        self._reservations.append(reservation)
        self._reserved += tokens


def budget_of(scope: Scope) -> TokenBudget | None:
    """What the request of ``scope`` may use; None: any number of tokens."""
    budget: TokenBudget | None = scope["state"].get("token_budget")
    return budget
