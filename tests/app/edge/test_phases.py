import pytest

from codeserve.app.edge.phases import Phase, phases_of
from codeserve.app.edge.record import RequestRecord


def record(**facts: float | None) -> RequestRecord:
    made = RequestRecord("req_1", started=0.0)
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def test_the_phases_follow_each_other() -> None:
    whole = record(accepted=1.0, queued_seconds=2.0, first_token=7.0, last_token=9.0, ended=9.5)
    assert phases_of(whole) == [
        Phase("queue", 1.0, 3.0),
        Phase("prefill", 3.0, 7.0),
        Phase("decode", 7.0, 9.0),
    ]
    assert [phase.seconds for phase in phases_of(whole)] == [2.0, 4.0, 2.0]


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        ({}, []),
        ({"accepted": 1.0, "ended": 2.0}, []),
        ({"accepted": 1.0, "queued_seconds": 0.5, "ended": 2.0}, ["queue", "prefill"]),
        ({"accepted": 1.0, "first_token": 2.0, "last_token": 2.0}, ["prefill", "decode"]),
    ],
)
def test_what_is_not_known_is_no_phase(facts: dict[str, float], names: list[str]) -> None:
    assert [phase.name for phase in phases_of(record(**facts))] == names


def test_a_queue_timed_elsewhere_ends_before_the_first_token() -> None:
    late = record(accepted=1.0, queued_seconds=2.0, first_token=2.5, last_token=2.5)
    assert phases_of(late)[:2] == [Phase("queue", 1.0, 2.5), Phase("prefill", 2.5, 2.5)]
