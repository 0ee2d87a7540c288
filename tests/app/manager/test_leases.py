import asyncio

import pytest

from codeserve.app.manager.admission import Admission, Timeouts
from codeserve.app.manager.leases import LATEST_RETRY, SOONEST_RETRY, Leases
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.errors import QueueFull


def settings(**given: object) -> ModelSettings:
    return ModelSettings.read({"path": "/w.gguf", "max_concurrency": 3, **given})


def test_a_request_more_than_may_be_there_is_refused_until_one_ends() -> None:
    leases = Leases(Admission(slots=2, waiting=1))
    for _ in range(3):
        leases.take()
    with pytest.raises(QueueFull) as refused:
        leases.take()
    assert refused.value.retry_after is not None
    leases.give_back()
    leases.take()
    assert leases.held == 3


async def test_those_who_wait_for_the_model_count_and_are_all_let_in() -> None:
    leases = Leases(Admission(slots=2, waiting=1))
    leases.take()
    waiting = [asyncio.create_task(leases.wait(60)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await leases.wait(60)
    leases.grant()
    await asyncio.gather(*waiting)
    assert (leases.held, leases.waiting) == (3, 0)


async def test_one_who_goes_away_frees_its_place() -> None:
    leases = Leases(Admission(slots=1))
    waiter = asyncio.create_task(leases.wait(60))
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.wait([waiter])
    leases.take()
    assert leases.held == 1


def test_the_longer_the_queue_the_later_a_retry_is_worth_it() -> None:
    short, long, endless = (Leases(Admission(slots=1, waiting=count)) for count in (1, 21, 5000))
    for leases in (short, long, endless):
        for _ in range(leases.admission.most):
            leases.take()
    assert SOONEST_RETRY <= short.retry_after < long.retry_after < endless.retry_after
    assert endless.retry_after == LATEST_RETRY


def test_a_model_admits_as_its_settings_say_and_else_as_the_servers() -> None:
    server = ServerSettings(max_waiting=7, max_waiting_tokens=50, queue_timeout=9)
    assert Admission.of(settings(), server, replicas=2) == Admission(
        slots=6, waiting=7, waiting_tokens=50, timeouts=Timeouts(queue=9)
    )
    own = settings(max_waiting=0, max_waiting_tokens=5, queue_timeout=1, request_timeout=3)
    assert Admission.of(own, server, replicas=1) == Admission(
        slots=3, waiting=0, waiting_tokens=5, timeouts=Timeouts(queue=1, request=3)
    )
