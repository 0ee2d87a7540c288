import pytest
import torch

from codeserve.engines.vllm.rules import Truncation
from codeserve.engines.vllm.truncation import truncate

PROBABILITIES = (0.5, 0.2, 0.15, 0.1, 0.05)
OFF = {"top_k": 0, "typical_p": 1.0, "top_p": 1.0, "min_p": 0.0}


def kept(**rule: float) -> list[int]:
    logits = torch.tensor(PROBABILITIES).log()
    truncate(logits, Truncation(**{**OFF, **rule}))  # type: ignore[arg-type]
    return [index for index, logit in enumerate(logits.tolist()) if logit > -torch.inf]


@pytest.mark.parametrize(
    ("rule", "tokens"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"top_k": 2}, [0, 1]),
        ({"top_k": 99}, [0, 1, 2, 3, 4]),
        ({"top_p": 0.6}, [0, 1]),
        ({"top_p": 0.0}, [0]),
        ({"min_p": 0.25}, [0, 1, 2]),
        ({"min_p": 2.0}, [0]),
        ({"typical_p": 0.1}, [1]),
        ({"typical_p": 0.3}, [1, 2]),
    ],
)
def test_a_rule_keeps_these_tokens(rule: dict[str, float], tokens: list[int]) -> None:
    assert kept(**rule) == tokens


def test_rules_apply_one_after_the_other() -> None:
    assert kept(top_k=3, top_p=0.8) == [0, 1], "of what top_k left, 0.59 and 0.24 reach 0.8"
    assert kept(typical_p=0.3, min_p=0.7) == [1, 2], "the likeliest one left is the measure"
