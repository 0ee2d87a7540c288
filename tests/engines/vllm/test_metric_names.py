"""The names that stand in for vLLM's are vLLM's."""

import inspect
import re

import pytest
from vllm.v1.metrics import buckets, loggers
from vllm.v1.spec_decode import metrics as drafting

from codeserve.app.distribution import (
    SECONDS_BETWEEN_TOKENS,
    SECONDS_OF_REQUESTS,
    SECONDS_TO_FIRST_TOKEN,
    TOKENS,
)
from codeserve.app.metrics.vllm_names import VLLM

OLDER = {"vllm:gpu_cache_usage_perc", "vllm:time_per_output_token_seconds"}
"""Names that vLLM has given up and dashboards still know."""
DECLARED = re.compile(r"_(gauge|counter|histogram)_cls\(\s*name=\"(vllm:\w+)\"")
DRAFT_COUNTER = re.compile(r"\(\"(vllm:\w+)\", ")


def declared() -> dict[str, str]:
    """The kinds of vLLM's metrics by name."""
    names = {name: kind for kind, name in DECLARED.findall(inspect.getsource(loggers))}
    drafts = DRAFT_COUNTER.findall(inspect.getsource(drafting))
    return {**names, **dict.fromkeys(drafts, "counter")}


def test_every_name_is_one_of_vllm_with_its_kind() -> None:
    theirs = {**declared(), "vllm:cache_config_info": "gauge"}
    ours = {family.name: family.kind for family in VLLM if family.name not in OLDER}
    assert ours == {name: theirs.get(name) for name in ours}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (buckets.REQUEST_LATENCY_BUCKETS, SECONDS_OF_REQUESTS),
        (buckets.TIME_TO_FIRST_TOKEN_BUCKETS, SECONDS_TO_FIRST_TOKEN),
        (buckets.INTER_TOKEN_LATENCY_BUCKETS, SECONDS_BETWEEN_TOKENS),
        (buckets.build_1_2_5_buckets(16384), TOKENS),
    ],
)
def test_every_bound_of_vllm_is_one_of_ours(
    theirs: tuple[float, ...], ours: tuple[float, ...]
) -> None:
    assert set(theirs) <= set(ours)
