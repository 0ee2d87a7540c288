"""What keys may use is counted to the one, however many ask at once."""

import asyncio
import logging
from typing import Any

import pytest

from codeserve.app.keys.allowances import Allowances
from codeserve.app.keys.meter import Reservation
from codeserve.app.setting_problems import SettingsError
from tests.app.keys.keys import make_key

RACERS = 200


async def taken(allowances: Allowances, **limits: Any) -> int:
    """How many of ``RACERS`` requests at once are let in."""
    key = make_key("a", **limits)
    return sum([one.taken for one in await asyncio.gather(*map(allowances.take, [key] * RACERS))])


async def test_of_200_at_once_as_many_get_in_as_may_in_a_minute() -> None:
    allowances = Allowances()
    assert await taken(allowances, requests_per_minute=50) == 50
    standing = await allowances.take(make_key("a", requests_per_minute=50))
    assert standing.requests is not None
    assert (standing.taken, standing.requests.remaining) == (False, 0)
    assert 0 < standing.requests.reset <= 60
    assert await taken(allowances, id="other", requests_per_minute=50) == 50


async def reserved(allowances: Allowances, tokens: int, limit: int) -> list[Reservation]:
    """What ``RACERS`` requests at once reserve of ``limit``, each ``tokens``."""
    key = make_key("a")
    racing = (allowances.reserve(key, limit, tokens) for _ in range(RACERS))
    return [one for _, one in await asyncio.gather(*racing) if one is not None]


async def test_of_200_at_once_as_many_reserve_tokens_as_there_are() -> None:
    allowances = Allowances()
    held = await reserved(allowances, 16, limit=1000)
    assert len(held) == 1000 // 16
    for one in held:
        await allowances.give_back(one, 12)
    assert len(await reserved(allowances, 16, limit=1000)) == (1000 - len(held) * 4) // 16


async def test_a_refusal_says_what_is_left_and_when_there_will_be_enough() -> None:
    allowances = Allowances()
    key = make_key("a")
    await allowances.reserve(key, 1000, 900)
    for wanted in (300, 1000):
        window, refused = await allowances.reserve(key, 1000, wanted)
        assert refused is None
        assert window.remaining == pytest.approx(100, abs=30)
        assert 0 < window.reset <= 120
    assert (await allowances.reserve(key, 1000, 100))[1] is not None


async def test_who_has_used_up_tokens_waits_and_takes_up_no_request() -> None:
    allowances = Allowances()
    key = make_key("a", tokens_per_minute=10, requests_per_minute=1)
    await allowances.reserve(key, 10, 10)
    standing = await allowances.take(key)
    assert not standing.taken
    assert standing.requests is None
    assert standing.tokens is not None
    assert 0 < standing.tokens.reset <= 120
    more = make_key("a", tokens_per_minute=100_000, requests_per_minute=1)
    assert (await allowances.take(more)).taken


async def test_two_servers_count_together_in_redis(redis_server: Any) -> None:
    first, second = Allowances(redis_server.url), Allowances(redis_server.url)
    async with asyncio.TaskGroup() as tasks:
        racing = [tasks.create_task(taken(one, requests_per_minute=50)) for one in (first, second)]
    assert sum(task.result() for task in racing) == 50
    await asyncio.gather(first.close(), second.close())


async def test_two_servers_reserve_tokens_together_in_redis(redis_server: Any) -> None:
    first, second = Allowances(redis_server.url), Allowances(redis_server.url)
    held = await asyncio.gather(*(reserved(one, 16, limit=1000) for one in (first, second)))
    assert sum(map(len, held)) == 1000 // 16
    for one in (*held[0], *held[1]):
        await second.give_back(one, 12)
    again = await asyncio.gather(*(reserved(one, 16, limit=1000) for one in (first, second)))
    assert sum(map(len, again)) == (1000 - 62 * 4) // 16
    redis_server.stop()
    await first.give_back(again[0][0] if again[0] else again[1][0], 16)
    await asyncio.gather(first.close(), second.close())


async def test_without_its_redis_a_server_counts_for_itself_and_says_so(
    redis_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    allowances = Allowances(redis_server.url)
    assert await taken(allowances, requests_per_minute=50) == 50
    redis_server.stop()
    with caplog.at_level(logging.ERROR):
        assert await taken(allowances, requests_per_minute=70) == 70
        assert await taken(allowances, requests_per_minute=70) == 0
    assert "this server counts for itself alone" in caplog.text
    assert len(caplog.records) == 1
    await allowances.close()


@pytest.mark.parametrize("url", ["localhost", "http://a:1", "redis://a:none"])
def test_a_redis_that_cannot_be_asked_is_an_error_at_once(url: str) -> None:
    with pytest.raises(SettingsError, match="redis: write a URL such as"):
        Allowances(url)


def test_a_place_is_free_again_whatever_happens() -> None:
    allowances = Allowances()
    key = make_key("a", max_concurrency=1)

    def fail() -> None:
        with allowances.place(key) as placed, allowances.place(key) as another:
            assert (placed, another) == (True, False)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with allowances.place(key) as placed:
        assert placed
