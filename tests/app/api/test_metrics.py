"""What /metrics says of a server under real requests."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from codeserve.app.manager.status import ModelState
from codeserve.app.model_settings import ModelSettings
from tests.app.conftest import RunningServer, fake_model, running_server

Samples = Mapping[tuple[str, ...], float]
"""By name and values of labels, in the order of the labels' names."""


@pytest.fixture(scope="module")
def busy_server(tiny_deepseek_gguf: Path) -> Iterator[RunningServer]:
    """Serves a real model and fakes; with three loaded, a fourth must make room."""
    models = (
        ModelSettings(
            id="coder",
            path=tiny_deepseek_gguf,
            family="deepseek-coder",
            engine="llama.cpp",
            context_length=512,
            pinned=True,
            options={"tune": False},
        ),
        fake_model("slow", step_seconds=0.05, max_concurrency=1).model_copy(
            update={"pinned": True}
        ),
        fake_model("lazy").model_copy(update={"load": "on_demand"}),
        fake_model("other").model_copy(update={"load": "on_demand"}),
    )
    with running_server(*models, max_loaded=3, heartbeat_timeout=60.0) as server:
        yield server


@pytest.fixture(scope="module")
def busy(busy_server: RunningServer) -> Iterator[httpx.Client]:
    with busy_server.client() as client:
        yield client


def newest_worker(engine: str) -> psutil.Process:
    """That of the server that was started last, as others of these tests may run, too."""
    workers = [
        one
        for one in psutil.Process().children(recursive=True)
        if one.status() != psutil.STATUS_ZOMBIE and {"--socket", engine} <= set(one.cmdline())
    ]
    return max(workers, key=psutil.Process.create_time)


def scrape(client: httpx.Client) -> Samples:
    """Every sample but those of buckets."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


def until(client: httpx.Client, condition: Callable[[Samples], bool]) -> Samples:
    """The first scrape that fulfils ``condition``: what engines count comes with heartbeats."""
    deadline = time.monotonic() + 60
    while not condition(samples := scrape(client)):
        assert time.monotonic() < deadline, samples
        time.sleep(0.05)
    return samples


def wait_for(client: httpx.Client, name: tuple[str, ...], value: float) -> Samples:
    """The first scrape that has ``value``."""
    return until(client, lambda now: now[name] == value)


def complete(client: httpx.Client, model: str, **fields: object) -> httpx.Response:
    body = {"model": model, "prompt": "def f(x):\n    return x\n" * 4, "max_tokens": 40, **fields}
    return client.post("/v1/completions", json={"temperature": 0, **body})


@contextmanager
def streaming(client: httpx.Client, model: str) -> Iterator[httpx.Response]:
    """A stream that ends with the context."""
    body = {"model": model, "prompt": "once upon a time", "max_tokens": 4000, "stream": True}
    with client.stream("POST", "/v1/completions", json=body) as response:
        yield response


ENDS = ("stop", "length", "abort", "error")
REQUEST_METRICS = (
    "codeserve_time_to_first_token_seconds_count",
    "codeserve_queue_time_seconds_count",
    "codeserve_prefill_time_seconds_count",
    "codeserve_request_prompt_tokens_count",
    "codeserve_request_generated_tokens_count",
    "codeserve_prompt_tokens_total",
    "codeserve_cached_prompt_tokens_total",
    "codeserve_generated_tokens_total",
    "codeserve_prefix_cache_queries_total",
    "codeserve_prefix_cache_hits_total",
    "codeserve_load_time_seconds_count",
    "codeserve_model_loads_total",
    "codeserve_model_memory_bytes",
)
PACE_METRICS = (
    "codeserve_inter_token_latency_seconds_sum",
    "codeserve_time_per_output_token_seconds_sum",
    "codeserve_decode_time_seconds_sum",
)
VLLM_PACE_METRICS = (
    "vllm:inter_token_latency_seconds_sum",
    "vllm:time_per_output_token_seconds_sum",
    "vllm:request_time_per_output_token_seconds_sum",
    "vllm:request_decode_time_seconds_sum",
)
VLLM_METRICS = (
    "vllm:prefix_cache_queries_total",
    "vllm:prefix_cache_hits_total",
    "vllm:prompt_tokens_total",
    "vllm:generation_tokens_total",
    "vllm:time_to_first_token_seconds_count",
    "vllm:e2e_request_latency_seconds_count",
    "vllm:request_queue_time_seconds_count",
    "vllm:request_prefill_time_seconds_count",
    "vllm:request_prompt_tokens_count",
    "vllm:request_generation_tokens_count",
)


def test_requests_move_every_number_that_tells_of_them(busy: httpx.Client) -> None:
    for _ in range(3):
        usage = complete(busy, "coder").json()["usage"]
    samples = until(busy, lambda now: now["codeserve_prefix_cache_hits_total", "coder"] > 0)

    assert [name for name in REQUEST_METRICS if not samples[name, "coder"]] == []
    assert [name for name in VLLM_METRICS if not samples[name, "0", "coder"]] == []
    assert samples["codeserve_requests_total", "coder", "ok"] == 3
    assert samples["codeserve_request_duration_seconds_count", "coder", "ok"] == 3
    assert samples["codeserve_generated_tokens_total", "coder"] == 3 * usage["completion_tokens"]
    assert samples["codeserve_prompt_tokens_total", "coder"] == 3 * usage["prompt_tokens"]
    assert sum(samples["vllm:request_success_total", "0", reason, "coder"] for reason in ENDS) == 3
    assert {state for state in ModelState if samples["codeserve_model_state", "coder", state]} == {
        ModelState.READY
    }
    assert ("vllm:cache_config_info", "16", "0", "coder", "128") in samples


def test_the_pace_of_tokens_is_told(busy: httpx.Client) -> None:
    complete(busy, "slow", max_tokens=6)
    samples = scrape(busy)
    assert [name for name in PACE_METRICS if not samples[name, "slow"]] == []
    assert [name for name in VLLM_PACE_METRICS if not samples[name, "0", "slow"]] == []


def test_what_runs_and_what_waits_shows_while_it_does(busy: httpx.Client) -> None:
    with streaming(busy, "slow"), streaming(busy, "slow"):
        samples = until(busy, lambda now: now["codeserve_requests_waiting", "slow"] > 0)
        assert samples["codeserve_requests_running", "slow"] == 1
        assert samples["codeserve_waiting_prompt_tokens", "slow"] > 10
        assert samples["codeserve_queue_oldest_seconds", "slow"] > 0
        assert 0 < samples["codeserve_kv_cache_usage_ratio", "slow"] < 1
        assert samples["codeserve_http_requests_in_flight",] == 2
        for name in ("running", "waiting"):
            assert samples[f"vllm:num_requests_{name}", "0", "slow"] == 1
        for name in ("kv_cache_usage_perc", "gpu_cache_usage_perc"):
            assert 0 < samples[f"vllm:{name}", "0", "slow"] < 1
    samples = until(busy, lambda now: not now["codeserve_requests_running", "slow"])
    assert samples["codeserve_requests_waiting", "slow"] == 0
    assert samples["codeserve_kv_cache_usage_ratio", "slow"] == 0
    assert samples["codeserve_http_requests_in_flight",] == 0


def test_a_client_that_goes_away_is_counted_by_how_far_its_request_had_come(
    busy: httpx.Client,
) -> None:
    before = scrape(busy)
    with streaming(busy, "slow") as running:
        lines = running.iter_lines()
        assert next(lines).startswith("data: ")
        with streaming(busy, "slow"):
            until(busy, lambda now: now["codeserve_requests_waiting", "slow"] > 0)
    for stage in ("queued", "decode"):
        name = ("codeserve_cancelled_requests_total", "slow", stage)
        assert wait_for(busy, name, before[name] + 1)
    assert scrape(busy)["codeserve_requests_total", "slow", "disconnected"] >= 2


def test_refusals_are_counted_by_reason(busy: httpx.Client) -> None:
    before = scrape(busy)
    complete(busy, "coder", max_tokens="many")
    complete(busy, "coder", prompt="x " * 600)
    samples = scrape(busy)
    refused = ("codeserve_requests_total", "coder", "refused")
    assert samples[refused] == before[refused] + 1
    reason = ("codeserve_rejected_requests_total", "coder", "context_length_exceeded")
    assert samples[reason] == 1
    assert samples["codeserve_rejected_requests_total", "", "invalid_request"] > 0


def test_wrong_models_are_one(busy: httpx.Client) -> None:
    complete(busy, "nothing-of-that-name")
    before = scrape(busy)
    for number in range(50):
        complete(busy, f"wrong-{number}")
    after = scrape(busy)
    assert before.keys() == after.keys()
    name = ("codeserve_rejected_requests_total", "", "model_not_found")
    assert after[name] == before[name] + 50


def test_no_counter_goes_down_when_a_worker_is_replaced_or_a_model_evicted(
    busy: httpx.Client,
) -> None:
    complete(busy, "coder")
    complete(busy, "lazy")
    complete(busy, "lazy")
    before = until(busy, lambda now: now["codeserve_prefix_cache_hits_total", "lazy"] > 0)
    complete(busy, "other")
    newest_worker("llama.cpp").kill()
    until(busy, lambda now: now["codeserve_model_loads_total", "coder"] == 2)
    after = scrape(busy)

    fallen = [
        name
        for name, value in before.items()
        if name[0].endswith(("_total", "_count", "_sum")) and after[name] < value
    ]
    assert fallen == []
    assert after["codeserve_model_evictions_total", "lazy"] == 1
    assert after["codeserve_worker_restarts_total", "coder"] == 1


def test_a_model_that_is_terminated_keeps_its_counters_alone(
    busy: httpx.Client, busy_server: RunningServer
) -> None:
    busy.delete("/v1/models/other").raise_for_status()
    samples = scrape(busy)
    assert samples["codeserve_requests_total", "other", "ok"] == 1
    assert ("codeserve_requests_running", "other") not in samples


def test_the_server_tells_of_itself(busy: httpx.Client) -> None:
    samples = scrape(busy)
    assert samples["codeserve_build_info", version("codeserve")] == 1
    assert samples["codeserve_draining",] == 0
    assert samples["process_resident_memory_bytes",] > 1e6
    assert samples["process_open_fds",] > 3


def test_the_disks_of_weights_are_told_of(busy: httpx.Client) -> None:
    samples = scrape(busy)
    for folder in ("store", "huggingface", "modelscope"):
        free = samples["codeserve_disk_free_bytes", folder]
        assert 0 < free <= samples["codeserve_disk_size_bytes", folder]


def test_scrapes_and_probes_are_not_counted(busy: httpx.Client) -> None:
    before = scrape(busy)
    for path in ("/metrics", "/livez", "/readyz"):
        busy.get(path)
    name = ("codeserve_requests_total", "", "ok")
    assert scrape(busy)[name] == before[name]


def test_the_names_keep_their_colons_whatever_format_a_client_asks_for(busy: httpx.Client) -> None:
    accept = "application/openmetrics-text;version=1.0.0;escaping=underscores,text/plain;q=0.5"
    response = busy.get("/metrics", headers={"accept": accept})
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'vllm:num_requests_waiting{engine="0",model_name="coder"} ' in response.text


def test_promtool_finds_nothing_wrong_but_the_colons_of_vllm(busy: httpx.Client) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool, of Prometheus, is not installed")
    scraped = busy.get("/metrics").text
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=scraped, text=True, capture_output=True, timeout=60
    )
    complaints = [line for line in checked.stderr.splitlines() if line]
    assert [line for line in complaints if not line.startswith("vllm:")] == []
    assert {line.partition(" ")[2] for line in complaints} == {
        "metric names should not contain ':'"
    }


def test_every_name_is_in_the_documentation(busy: httpx.Client) -> None:
    page = Path(__file__).parents[3] / "docs" / "metrics.md"
    names = {
        family.name + "_total" * (family.type == "counter")
        for family in text_string_to_metric_families(busy.get("/metrics").text)
        if not family.name.startswith("process_")
    }
    documented = set(re.findall(r"`((?:codeserve_|vllm:)\w+)`", page.read_text()))
    assert names == documented
