import pytest

from codeserve.app.api.generation.account import Account
from codeserve.app.edge.record import RequestRecord
from codeserve.engines.types import FinishReason, TextDelta, Usage


@pytest.fixture
def record() -> RequestRecord:
    return RequestRecord("req_1")


@pytest.fixture
def account(record: RequestRecord) -> Account:
    return Account(record)


def test_the_first_choice_that_is_accepted_and_starts_counts(
    account: Account, record: RequestRecord
) -> None:
    account.accept()
    accepted = record.accepted
    account.accept()
    account.note(1, TextDelta(token_ids=(1,), queued_seconds=0.25))
    first = record.first_token
    account.note(0, TextDelta(token_ids=(1,), queued_seconds=0.5))
    assert record.accepted == accepted is not None
    assert record.first_token == first is not None
    assert record.queued_seconds == 0.25


def test_gaps_lie_between_the_tokens_of_one_choice(account: Account, record: RequestRecord) -> None:
    account.note(0, TextDelta(token_ids=(1,)))
    account.note(1, TextDelta(token_ids=(1,)))
    assert record.token_gaps == []
    account.note(0, TextDelta(token_ids=(2, 3)))
    account.note(0, TextDelta(text="held back"))
    (gap,) = record.token_gaps
    assert record.first_token is not None
    assert record.last_token is not None
    assert gap == pytest.approx((record.last_token - record.first_token) / 2)


def test_every_choice_says_why_it_ended_and_the_whole_what_it_cost(
    account: Account, record: RequestRecord
) -> None:
    account.note(0, TextDelta(token_ids=(1,), finish_reason=FinishReason.STOP))
    account.note(1, TextDelta(finish_reason=FinishReason.LENGTH))
    account.close(Usage(prompt_tokens=5, cached_tokens=4, completion_tokens=1))
    assert record.finish_reasons == ["stop", "length"]
    assert (record.prompt_tokens, record.cached_tokens, record.completion_tokens) == (5, 4, 1)
