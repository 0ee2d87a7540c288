"""What keys may use is counted to the one, however many ask at once."""

import asyncio
import logging
from typing import Any

import pytest

from codeserve.app.keys.allowances import Allowances
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


async def test_of_200_charges_at_once_none_is_lost() -> None:
    allowances = Allowances()
    key = make_key("a", tokens_per_minute=100_000)
    await asyncio.gather(*(allowances.charge(key, number) for number in range(RACERS)))
    standing = await allowances.take(key)
    assert standing.tokens is not None
    assert standing.tokens.remaining >= 100_000 - sum(range(RACERS))
    assert standing.tokens.remaining < 100_000


async def test_who_has_used_up_tokens_waits_and_takes_up_no_request() -> None:
    allowances = Allowances()
    key = make_key("a", tokens_per_minute=10, requests_per_minute=1)
    await allowances.charge(key, 1000)
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
    key = make_key("a", tokens_per_minute=100_000)
    await asyncio.gather(*(first.charge(key, number) for number in range(RACERS)))
    standing = await second.take(key)
    assert standing.tokens is not None
    assert standing.tokens.remaining == 100_000 - sum(range(RACERS))
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
