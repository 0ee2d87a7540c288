import math

import numpy as np
import pytest

from codeserve.engines.batching.scoring import Scorer

ROWS = np.array([[0.0, 2.0, 1.0, -1.0], [3.0, 3.0, 0.0, 0.0]], np.float32)


def test_a_score_is_the_log_of_the_softmax() -> None:
    total = sum(math.exp(x) for x in (0, 2, 1, -1))
    assert Scorer(ROWS, 0).score(0, 2).logprob == pytest.approx(1 - math.log(total))


def test_the_rank_counts_likelier_tokens() -> None:
    scorer = Scorer(ROWS, 0)
    assert [scorer.score(0, token).rank for token in range(4)] == [3, 1, 2, 4]
    assert [scorer.score(1, token).rank for token in range(4)] == [1, 1, 3, 3]


@pytest.mark.parametrize("top", [1, 3, 4, 9])
def test_the_likeliest_tokens_come_best_first(top: int) -> None:
    score = Scorer(ROWS, top).score(0, 3)
    assert [token for token, _ in score.top] == [1, 2, 0, 3][:top]
    assert dict(Scorer(ROWS, 4).score(0, 3).top)[3] == score.logprob


def test_later_changes_of_the_logits_change_no_score() -> None:
    rows = ROWS.copy()
    scorer = Scorer(rows, 0)
    before = scorer.score(0, 1)
    rows[:] = -np.inf
    assert scorer.score(0, 1) == before


def test_huge_logits_do_not_overflow() -> None:
    assert Scorer(np.array([[3e38, -3e38]], np.float32), 0).score(0, 0).logprob == 0
