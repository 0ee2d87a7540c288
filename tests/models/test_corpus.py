from itertools import islice

import pytest

from tests.models.corpus import MAKERS, held_out, training


@pytest.mark.parametrize("kind", MAKERS)
def test_no_held_out_example_is_trained(kind: str) -> None:
    trained = set(islice(training(seed=0, shares={kind: 1.0}), 3000))
    unseen = set(islice(held_out(kind), 300))

    assert not trained & unseen


def test_the_same_seed_yields_the_same_examples() -> None:
    assert list(islice(held_out("chat"), 20)) == list(islice(held_out("chat"), 20))
