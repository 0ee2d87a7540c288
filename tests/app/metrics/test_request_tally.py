from typing import Any

import pytest

from codeserve.app.edge.record import RequestRecord
from codeserve.app.metrics.request_tally import Outcome, RequestTally, Stage, outcome_of

TAKEN = {"accepted": 11.0, "status": 200}
GONE = {"error": "disconnected"}


def a_record(**facts: Any) -> RequestRecord:
    return RequestRecord("id", **{"started": 10.0, "ended": 16.0, **facts})


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ({**TAKEN, "complete": True}, Outcome.OK),
        (TAKEN, Outcome.DISCONNECTED),
        ({"status": 499, **GONE}, Outcome.DISCONNECTED),
        ({"status": 400, "error": "x", "refusal": "InvalidRequest"}, Outcome.REFUSED),
        ({"status": 429, "error": "x", "refusal": "QueueFull"}, Outcome.REFUSED),
        ({"status": 503, "error": "x", "refusal": "ModelUnavailable"}, Outcome.REFUSED),
        ({"status": 504, "error": "x", "refusal": "DeadlineExceeded"}, Outcome.REFUSED),
        ({"status": 500, "error": "x", "refusal": "ServerError"}, Outcome.ERROR),
        ({**TAKEN, "status": 503, "error": "x", "refusal": "EngineRestarted"}, Outcome.ERROR),
        ({**TAKEN, "status": 400, "error": "x", "refusal": "InvalidRequest"}, Outcome.REFUSED),
        ({**TAKEN, "error": "engine_restarted", "complete": True}, Outcome.ERROR),
    ],
)
def test_a_request_has_one_of_four_outcomes(facts: dict[str, Any], outcome: Outcome) -> None:
    assert outcome_of(a_record(**facts)) is outcome


def test_a_rejection_is_counted_by_the_kind_of_its_error() -> None:
    tally = RequestTally()
    tally.add(a_record(status=429, error="x", refusal="QueueFull"), others_wait=False)
    tally.add(a_record(status=500, error="x", refusal="ServerError"), others_wait=False)
    assert tally.rejections == {"queue_full": 1}


@pytest.mark.parametrize(
    ("facts", "others_wait", "stage"),
    [
        ({}, False, Stage.QUEUED),
        ({"accepted": 11.0}, True, Stage.QUEUED),
        ({"accepted": 11.0}, False, Stage.PREFILL),
        ({"accepted": 11.0, "queued_seconds": 0.5}, True, Stage.PREFILL),
        ({"accepted": 11.0, "first_token": 12.0, "last_token": 12.0}, True, Stage.DECODE),
    ],
)
def test_a_cancellation_is_counted_by_how_far_the_request_had_come(
    facts: dict[str, Any], others_wait: bool, stage: Stage
) -> None:
    tally = RequestTally()
    tally.add(a_record(**GONE, **facts), others_wait=others_wait)
    assert +tally.cancelled == {stage: 1}


def test_the_times_of_a_request_are_those_of_its_record() -> None:
    tally = RequestTally()
    record = a_record(
        **TAKEN,
        complete=True,
        queued_seconds=0.5,
        first_token=13.0,
        last_token=15.0,
        token_gaps=[0.5, 1.5],
        prompt_tokens=7,
        cached_tokens=4,
        completion_tokens=5,
        finish_reasons=["stop"],
    )
    tally.add(record, others_wait=False)

    assert tally.duration.sum == tally.durations[Outcome.OK].sum == 6.0
    assert tally.first_token.sum == 3.0
    assert tally.queued.sum == 0.5
    assert tally.prefill.sum == 1.5
    assert tally.decode.sum == 2.0
    assert tally.per_token.sum == 0.5
    assert (tally.between_tokens.count, tally.between_tokens.sum) == (2, 2.0)
    assert (tally.prompt_tokens, tally.cached_tokens, tally.generated_tokens) == (7, 4, 5)
    assert (tally.prompt_lengths.sum, tally.generated_lengths.sum) == (7.0, 5.0)
    assert +tally.finish_reasons == {"stop": 1}


def test_a_request_that_no_engine_took_counts_in_no_time() -> None:
    tally = RequestTally()
    tally.add(a_record(status=429, error="x", refusal="QueueFull"), others_wait=False)
    assert (tally.duration.count, tally.prompt_lengths.count) == (0, 0)
