"""Truncations in our order, which is not vLLM's."""

import torch

from codeserve.engines.vllm.rules import Truncation


def truncate(logits: torch.Tensor, rule: Truncation) -> None:
    """Set all of a row that ``rule`` cuts off to -inf; the likeliest token that it keeps stays."""
    if 0 < rule.top_k < logits.shape[0]:
        least = logits.topk(rule.top_k).values[-1]
        logits[logits < least] = -torch.inf
    if rule.typical_p < 1:
        _keep_typical(logits, rule.typical_p)
    if rule.top_p < 1:
        probabilities = logits.softmax(0)
        _keep_first(logits, probabilities.argsort(descending=True), probabilities, rule.top_p)
    if rule.min_p > 0:
        probabilities = logits.softmax(0)
        likeliest = probabilities.max()
        logits[probabilities < min(1.0, rule.min_p) * likeliest] = -torch.inf


def _keep_typical(logits: torch.Tensor, mass: float) -> None:
    """Keep the tokens whose information content is nearest to the expected one."""
    logprobs = logits.log_softmax(0)
    probabilities = logprobs.exp()
    expected = -(probabilities * logprobs).nansum()
    distance = (-logprobs - expected).abs()
    _keep_first(logits, distance.argsort(stable=True), probabilities, mass)


def _keep_first(
    logits: torch.Tensor, order: torch.Tensor, probabilities: torch.Tensor, mass: float
) -> None:
    """Keep the first of ``order`` whose probabilities reach ``mass``, one at least."""
    before = probabilities[order].cumsum(0) - probabilities[order]
    gone = before >= mass
    gone[0] = False
    logits[order[gone]] = -torch.inf
