from typing import Any

import pytest

from codeserve.app.bench.endpoint import Endpoint
from codeserve.app.bench.results import BenchResult, ScenarioResult
from codeserve.app.bench.runner import Bench
from codeserve.app.bench.workloads import WORKLOADS, scenarios


async def run(url: str, model: str, *names: str, rounds: int = 1) -> BenchResult:
    async with Endpoint(url, model) as endpoint:
        return await Bench(endpoint, scenarios(names, (1, 3)), rounds=rounds, seed=1).run()


async def only(url: str, model: str, name: str) -> ScenarioResult:
    (result,) = (await run(url, model, name)).scenarios
    assert result.failed == 0, result.errors
    return result


async def test_a_single_stream_has_a_decode_and_a_prompt_rate(bench_server: Any) -> None:
    result = await only(bench_server.url, "slow", "single")
    assert result.medians["output_tokens"] == 64
    assert 500 < result.medians["prompt_tokens"] < 530
    assert result.medians["prompt_rate"] > 0
    assert result.medians["stream_rate"] > 0


async def test_the_sweep_is_a_scenario_for_each_width(bench_server: Any) -> None:
    result = await run(bench_server.url, "fast", "concurrency", rounds=2)
    assert [(one.name, one.completed) for one in result.scenarios] == [
        ("concurrency-1", 2),
        ("concurrency-3", 6),
    ]
    assert [one.medians["output_tokens"] for one in result.scenarios] == [32, 96]
    assert all(len(one.rounds) == 2 for one in result.scenarios)


async def test_a_key_cancels_the_request_of_the_key_before(bench_server: Any) -> None:
    result = await only(bench_server.url, "slow", "keystroke")
    assert (result.completed, result.cancelled) == (4, 36)
    assert result.medians["last_ttft"] > 0


async def test_eight_requests_share_a_prefix(bench_server: Any) -> None:
    result = await only(bench_server.url, "fast", "shared-prefix")
    assert result.completed == 8
    assert result.medians["prompt_tokens"] == pytest.approx(8 * 766, rel=0.02)


async def test_streams_are_watched_beside_a_long_prompt(bench_server: Any) -> None:
    result = await only(bench_server.url, "slow", "long-prefill")
    assert result.completed == 5
    assert result.medians["output_tokens"] == 4 * 200 + 8
    assert 0 < result.medians["beside_gap_p50"] <= result.medians["beside_gap_p99"]
    assert result.medians["long_ttft"] > 0


async def test_what_an_edit_copies_is_counted(bench_server: Any) -> None:
    result = await only(bench_server.url, "fast", "edit")
    assert result.medians["copied_share"] == 0, "the script is not the file"
    assert result.medians["output_tokens"] == 300


async def test_sixteen_short_prompts_are_decoded_at_once(bench_server: Any) -> None:
    result = await only(bench_server.url, "fast", "decode")
    assert result.completed == 16
    assert result.medians["output_tokens"] == 16 * 64
    assert result.medians["prompt_tokens"] < 16 * 40


async def test_failed_requests_are_part_of_the_result(start_server: Any, make_model: Any) -> None:
    with start_server(make_model("short", context_length=1600)) as server:
        (result,) = (await run(server.url, "short", "long-prefill")).scenarios
    assert (result.completed, result.failed) == (4, 1)
    assert "1600 tokens" in result.errors[0]
    assert "long_ttft" not in result.medians


def test_without_names_every_workload_runs() -> None:
    assert {scenario.name.split("-3")[0] for scenario in scenarios((), (3,))} == set(WORKLOADS)
