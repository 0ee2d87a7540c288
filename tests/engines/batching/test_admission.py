import pytest

from codeserve.engines.batching.admission import QueueLimits
from codeserve.engines.errors import QueueFull


def test_requests_are_counted_whether_they_run_or_wait() -> None:
    limits = QueueLimits(slots=2, waiting=1, waiting_tokens=None)
    limits.check(5, running=1, queued=[1])
    limits.check(5, running=0, queued=[1, 1])
    for running, queued in ((2, [1]), (0, [1, 1, 1])):
        with pytest.raises(QueueFull, match="3 requests are running or waiting") as refused:
            limits.check(5, running, queued)
        assert refused.value.retry_after is not None


def test_prompts_may_wait_up_to_a_number_of_tokens() -> None:
    limits = QueueLimits(slots=1, waiting=9, waiting_tokens=100)
    limits.check(60, running=1, queued=[30, 10])
    with pytest.raises(QueueFull, match=r"40 tokens .* the 61 of this one .* the 100 allowed"):
        limits.check(61, running=1, queued=[30, 10])


def test_a_prompt_of_more_tokens_may_wait_alone() -> None:
    limits = QueueLimits(slots=1, waiting=9, waiting_tokens=100)
    limits.check(5000, running=1, queued=[])
    with pytest.raises(QueueFull):
        limits.check(1, running=1, queued=[5000])


def test_what_is_about_to_get_a_free_slot_does_not_wait() -> None:
    limits = QueueLimits(slots=3, waiting=9, waiting_tokens=100)
    limits.check(90, running=1, queued=[5000, 4000])
    with pytest.raises(QueueFull):
        limits.check(90, running=1, queued=[5000, 4000, 20])
