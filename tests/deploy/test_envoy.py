"""A real Envoy, routing as the HTTPRoute says, in front of a real server."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.manifests import Manifest, named, with_components
from tests.deploy.processes import free_port, running
from tests.e2e.server import Server
from tests.e2e.waiting import wait_until

ENVOY = Path(sys.executable).parent / "envoy"
ENVOY_S_OWN_TIMEOUT = 15
"""Seconds of a whole response, where a route says nothing."""
TOKENS_PER_SECOND = 25
IDLE_SECONDS = 8
"""Envoy ends a stream that is silent for so long; by default five minutes."""
CONFIG = f"""
[server]
keepalive_seconds = 1

[[models]]
id = "steady"
path = "/dev/null"
engine = "fake"
options = {{ step_seconds = {1 / TOKENS_PER_SECOND} }}

[[models]]
id = "silent"
path = "/dev/null"
engine = "fake"
options = {{ step_seconds = {1.5 * IDLE_SECONDS} }}

[[models]]
id = "broken"
path = "/dev/null"
engine = "fake"
options = {{ fail_load = "There is no such file." }}
"""
FACTORY = "type.googleapis.com/envoy.extensions.filters"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running_server = Server.start(tmp_path_factory.mktemp("server"), CONFIG)
    yield running_server
    running_server.end()


@pytest.fixture(scope="module")
def gateway(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an Envoy in front of ``server``."""
    if not ENVOY.exists():
        pytest.skip("envoy is not installed; PyPI has it for Linux on x86-64")
    folder = tmp_path_factory.mktemp("envoy")
    made = with_components(folder, "cpu-llama-cpp", ["components/gateway"])
    port = free_port()
    config = folder / "envoy.json"
    config.write_text(json.dumps(envoy_config(named(made, "HTTPRoute"), port, server.url)))
    command = [str(ENVOY), "-c", str(config), "--use-dynamic-base-id", "--concurrency", "1"]
    with running([*command, "--log-level", "warning"], folder / "log") as process:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(url), "Envoy")
        assert process.poll() is None
        yield url


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=60).status_code == 404
    except httpx.TransportError:
        return False


def envoy_config(route: Manifest, port: int, server_url: str) -> dict[str, Any]:
    """What a gateway of Envoy's makes of ``route``."""
    host, _, server_port = server_url.removeprefix("http://").partition(":")
    endpoint = {"socket_address": {"address": host, "port_value": int(server_port)}}
    cluster = {
        "name": "codeserve",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "codeserve",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": endpoint}}]}],
        },
    }
    hosts = {"name": "all", "domains": ["*"], "routes": list(envoy_routes(route))}
    manager = {
        "@type": f"{FACTORY}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "stream_idle_timeout": f"{IDLE_SECONDS}s",
        "route_config": {"virtual_hosts": [hosts]},
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": f"{FACTORY}.http.router.v3.Router"},
            }
        ],
    }
    filters = [{"name": "http", "typed_config": manager}]
    listener = {
        "name": "http",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": filters}],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def envoy_routes(route: Manifest) -> Iterator[dict[str, Any]]:
    for rule in route["spec"]["rules"]:
        for match in rule["matches"]:
            kind = {"Exact": "path", "PathPrefix": "path_separated_prefix"}[match["path"]["type"]]
            action: dict[str, Any] = {"cluster": "codeserve"}
            if timeouts := rule.get("timeouts"):
                action["timeout"] = timeouts["request"]
            yield {"match": {kind: match["path"]["value"]}, "route": action}


def body(model: str, max_tokens: int) -> dict[str, Any]:
    return {"model": model, "prompt": "x", "max_tokens": max_tokens, "stream": True}


def running_on(server: Server, model: str) -> int:
    """Requests that the model's engine works for."""
    count: int = server.model(model)["running"]
    return count


def stream(gateway: str, model: str, max_tokens: int) -> Any:
    url = f"{gateway}/v1/completions"
    return httpx.stream("POST", url, json=body(model, max_tokens), timeout=60)


def test_tokens_arrive_as_they_are_made_and_for_as_long_as_they_are(
    gateway: str, server: Server
) -> None:
    tokens = (ENVOY_S_OWN_TIMEOUT + 2) * TOKENS_PER_SECOND
    events: list[str] = []
    with stream(gateway, "steady", tokens) as answer:
        assert answer.status_code == 200, answer.read()
        lines = answer.iter_lines()
        events += [next(line for line in lines if line.startswith("data:"))]
        assert answer.headers["content-type"].startswith("text/event-stream")
        wait_until(lambda: running_on(server, "steady") == 1, "the rest, which is still to come")
        events += [line for line in lines if line.startswith("data:")]

    assert events[-1] == "data: [DONE]"
    assert json.loads(events[-2].removeprefix("data: "))["choices"][0]["finish_reason"] == "length"
    assert len(events) > tokens / 2, "tokens were kept back and sent together"


def test_a_silent_engine_s_stream_is_not_cut(gateway: str) -> None:
    with stream(gateway, "silent", 1) as answer:
        lines = list(answer.iter_lines())

    assert lines[0].startswith(":"), "a comment comes before the first token"
    assert [line for line in lines if line][-1] == "data: [DONE]"


def test_a_client_that_hangs_up_frees_its_slot(gateway: str, server: Server) -> None:
    with stream(gateway, "steady", 4000) as answer:
        lines = answer.iter_lines()
        next(lines)
        wait_until(lambda: running_on(server, "steady") == 1, "the request in the engine")

    wait_until(lambda: running_on(server, "steady") == 0, "the slot")


def test_a_refused_request_is_not_sent_again(gateway: str, server: Server) -> None:
    answer = httpx.post(
        f"{gateway}/v1/completions", json={"model": "broken", "prompt": "x"}, timeout=60
    )

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "model_unavailable"
    metrics = httpx.get(f"{server.url}/metrics", timeout=60).text.splitlines()
    [refused] = [
        line
        for line in metrics
        if line.startswith("codeserve_requests_total")
        if 'model="broken"' in line
        if 'outcome="refused"' in line
    ]
    assert float(refused.split()[-1]) == 1


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/livez", "/docs"])
def test_what_is_for_operators_is_not_there(gateway: str, path: str) -> None:
    answer = httpx.get(gateway + path, timeout=60)
    assert answer.status_code == 404
    assert not answer.content
