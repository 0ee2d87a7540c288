"""A real Prometheus that scrapes a real server under load finds what alerts, dashboard and
autoscalers ask for."""

import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.deploy.manifests import Manifest, named
from tests.deploy.monitoring import alerts, panel_queries
from tests.deploy.processes import free_port, running
from tests.e2e.server import Server
from tests.e2e.waiting import wait_until

CONFIG = """
[[models]]
id = "coder"
path = "/dev/null"
engine = "fake"
max_concurrency = 2
max_waiting = 2
options = { step_seconds = 0.01 }

[[models]]
id = "crashing"
path = "/dev/null"
engine = "fake"
options = { crash_after = 2 }

[[models]]
id = "tiny"
path = "%s"
family = "deepseek-coder"
context_length = 512
options = { tune = false, n_threads = 1 }
"""
SCRAPED_AS = {"namespace": "codeserve", "pod": "codeserve-0"}
"""What the PodMonitor's scrapes are labelled with in a cluster."""
SELECTOR = re.compile(r"\b(?:codeserve|vllm:|process)_\w+(?:\{[^}]*\})?")


@dataclass
class Prometheus:
    url: str

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The values of ``query`` now."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=30).json()
        assert answer["status"] == "success", f"{query}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_deepseek_gguf: Path) -> Iterator[Server]:
    running_server = Server.start(tmp_path_factory.mktemp("server"), CONFIG % tiny_deepseek_gguf)
    yield running_server
    running_server.end()


@pytest.fixture(scope="module")
def prometheus(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that has scraped the server before, during and after some load."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed; it is a package of Debian")
    folder = tmp_path_factory.mktemp("prometheus")
    target = {"targets": [server.url.removeprefix("http://")], "labels": SCRAPED_AS}
    job = {"job_name": "codeserve/codeserve", "static_configs": [target]}
    config = {"global": {"scrape_interval": "2s", "scrape_timeout": "2s"}, "scrape_configs": [job]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus", "--config.file=prometheus.yml", f"--web.listen-address={address}"]
    with running([*command, "--storage.tsdb.path=data"], folder / "log"):
        found = Prometheus(f"http://{address}")
        wait_until(lambda: _answers(found), "Prometheus and its first scrape")
        for lost in (1, 2):
            _load(server)
            wait_until(partial(_finds, found, lost), "a scrape of everything")
        yield found


def _answers(prometheus: Prometheus) -> bool:
    try:
        is_ready = httpx.get(f"{prometheus.url}/-/ready", timeout=30).is_success
        return is_ready and bool(prometheus.ask("codeserve_build_info"))
    except httpx.TransportError:
        return False


def _finds(prometheus: Prometheus, lost: int) -> bool:
    return bool(prometheus.ask(f"codeserve_worker_restarts_total >= {lost}"))


def _load(server: Server) -> None:
    """Requests that are answered, that are refused, that hang up and that fail."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: _complete(server, "coder", 50), range(16)))
        list(pool.map(lambda _: _complete(server, "tiny", 20), range(4)))
    _complete(server, "crashing", 20)
    body = {"model": "coder", "prompt": "x", "max_tokens": 2000, "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=60) as answer:
        next(answer.iter_lines())


def _complete(server: Server, model: str, max_tokens: int) -> int:
    body = {"model": model, "prompt": "def add(a, b):\n", "max_tokens": max_tokens}
    return httpx.post(f"{server.url}/v1/completions", json=body, timeout=60).status_code


def test_every_panel_shows_something(prometheus: Prometheus) -> None:
    empty = [f"{title}: {query}" for title, query in panel_queries() if not prometheus.ask(query)]
    assert not empty


def test_every_alert_looks_at_something(prometheus: Prometheus) -> None:
    for name, expression in alerts().items():
        prometheus.ask(expression)
        selectors = SELECTOR.findall(expression)
        assert selectors, name
        for selector in selectors:
            assert prometheus.ask(selector), f"{name}: {selector}"


def test_a_healthy_server_raises_no_alert(prometheus: Prometheus) -> None:
    quiet = alerts()
    for shaken in ("CodeserveErrors", "CodeserveQueueFull", "CodeserveWorkerRestarts"):
        quiet.pop(shaken)
    quiet.pop("CodeserveModelDown")  # the crashing model may just be restarting
    assert {name for name, query in quiet.items() if prometheus.ask(query)} == set()


def test_the_load_is_seen(prometheus: Prometheus) -> None:
    for name in ("CodeserveErrors", "CodeserveQueueFull"):
        assert prometheus.ask(alerts()[name]), name


def test_autoscalers_find_their_metric(
    prometheus: Prometheus, everything: Sequence[Manifest]
) -> None:
    [trigger] = named(everything, "ScaledObject")["spec"]["triggers"]
    assert prometheus.ask(trigger["metadata"]["query"])


def test_the_endpoint_picker_finds_vllm_s_names(prometheus: Prometheus) -> None:
    for name in ("num_requests_waiting", "num_requests_running", "kv_cache_usage_perc"):
        series = prometheus.ask(f"vllm:{name}")
        assert {one["metric"]["model_name"] for one in series} >= {"coder", "tiny"}
    assert prometheus.ask("vllm:cache_config_info")
