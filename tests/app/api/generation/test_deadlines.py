import asyncio
import json
import time

import httpx
import pytest

from codeserve.app.api.generation.deadlines import Deadlines, timeouts_of
from codeserve.app.manager.admission import Timeouts
from codeserve.engines.errors import DeadlineExceeded, InvalidRequest
from tests.app.api.generation.conftest import RUNNING, Gate

PATH = "/v1/completions"
BODY = {"model": "held", "prompt": "a", "max_tokens": 2}
SHORT = "0.3"


def test_a_header_shortens_what_is_configured() -> None:
    configured = Timeouts(queue=5, first_token=10)
    assert timeouts_of({}, configured) is configured
    asked = {"X-Queue-Timeout": "2.5", "X-Request-Timeout": "60"}
    assert timeouts_of(asked, configured) == Timeouts(queue=2.5, first_token=10, request=60)


@pytest.mark.parametrize("value", ["", "soon", "0", "-1", "nan", "inf", "6"])
def test_a_header_that_is_no_shorter_time_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        timeouts_of({"X-Queue-Timeout": value}, Timeouts(queue=5))
    assert refused.value.param == "X-Queue-Timeout"


@pytest.mark.parametrize(
    ("timeouts", "name"),
    [
        (Timeouts(first_token=1), "first_token_timeout"),
        (Timeouts(first_token=1, request=2), "first_token_timeout"),
        (Timeouts(first_token=2, request=1), "request_timeout"),
    ],
)
async def test_time_counts_from_the_arrival_and_the_error_names_the_deadline(
    timeouts: Timeouts, name: str
) -> None:
    with pytest.raises(DeadlineExceeded, match=name) as late:
        async with Deadlines(timeouts, time.perf_counter() - 1).before_first_token():
            await asyncio.Event().wait()
    assert late.value.param == name


async def test_another_timeout_is_not_taken_for_a_deadline() -> None:
    with pytest.raises(TimeoutError):
        async with Deadlines(Timeouts(request=60), time.perf_counter()).before_first_token():
            raise TimeoutError


def post(client: httpx.AsyncClient, **headers: str) -> asyncio.Task[httpx.Response]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.create_task(client.post(PATH, json=BODY, headers=sent))


def check_late(response: httpx.Response, name: str) -> None:
    assert response.status_code == 504
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("deadline_exceeded", name)
    assert name in error["message"]


async def test_who_gets_no_slot_in_time_leaves_the_queue_and_who_has_one_goes_on(
    crowd: httpx.AsyncClient, gate: Gate
) -> None:
    (first, *others) = [post(crowd) for _ in range(RUNNING + 1)]
    late = await post(crowd, X_Queue_Timeout=SHORT)
    check_late(late, "queue_timeout")
    gate.open()
    assert {(await answer).status_code for answer in (first, *others)} == {200}


@pytest.mark.parametrize(
    ("header", "name"),
    [("X_First_Token_Timeout", "first_token_timeout"), ("X_Request_Timeout", "request_timeout")],
)
async def test_what_takes_too_long_is_a_504(
    crowd: httpx.AsyncClient, gate: Gate, header: str, name: str
) -> None:
    check_late(await post(crowd, **{header: SHORT}), name)
    gate.open()
    assert (await post(crowd, **{header: "60"})).status_code == 200


def test_a_stream_that_takes_too_long_ends_with_the_error_after_its_text(
    client: httpx.Client,
) -> None:
    body = {"model": "slow", "prompt": "a", "max_tokens": 4000, "stream": True}
    headers = {"X-First-Token-Timeout": "20", "X-Request-Timeout": "3"}
    response = client.post(PATH, json=body, headers=headers)
    assert response.status_code == 200
    *text, failure, done = response.text.removesuffix("\n\n").split("\n\n")
    assert text
    assert json.loads(failure[6:])["error"]["param"] == "request_timeout"
    assert done == "data: [DONE]"


def test_a_header_that_is_refused_is_named(client: httpx.Client) -> None:
    response = client.post(PATH, json=BODY | {"model": "fast"}, headers={"X-Queue-Timeout": "x"})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "X-Queue-Timeout"
