"""Every launch line of Xinference's model page, with its first word replaced, is accepted and means
the weights that were published."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from codeserve.app.cli.main import build_cli
from codeserve.app.environments.engines import Installation
from codeserve.app.launch_request import LaunchRequest
from codeserve.app.manager.resolution import resolve
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.hub.artifact import artifacts
from tests.app.cli.launch_lines import LaunchLine, launch_lines

LINES = list(launch_lines())
JOB = {"id": "1", "model": "a", "created": 0.0}


class EveryEngine:
    """A machine on which every engine is installed."""

    has_gpu = False
    names = ("llama.cpp", "transformers", "vllm")

    def find(self, engine: str) -> Installation:
        return Installation(engine=engine, build="cpu")


class Recorder(HTTPServer):
    """Accepts every launch and keeps what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[dict[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Recorder)
        assert self.path == "/v1/models?wait_ready=false"
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"model_uid": "a", "job": JOB}).encode())

    def log_message(self, *args: object) -> None: ...


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load()


def test_the_page_has_a_line_for_each_spec_of_both_families() -> None:
    specs = {line.arguments[4:9:2] for line in LINES}
    assert len(specs) == 28


@pytest.mark.parametrize("line", LINES, ids=lambda line: " ".join(line.arguments[2::2]))
def test_a_launch_line_means_its_published_weights(
    line: LaunchLine,
    recorder: Recorder,
    catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # To read all certificates takes longer.
    endpoint = f"http://127.0.0.1:{recorder.server_port}"
    command = [*line.arguments, "--endpoint", endpoint, "--no-wait"]
    result = CliRunner().invoke(build_cli(), command)
    assert result.exit_code == 0, result.stderr
    settings = LaunchRequest.model_validate(recorder.bodies.pop()).settings()
    resolution = resolve(settings, catalog, EveryEngine())
    assert resolution.choice.engine == line.engine
    assert resolution.selection is not None
    found = artifacts(resolution.selection.spec, resolution.selection.quantization)
    assert tuple((a.hub, a.repository, a.revision, a.files) for a in found) == line.sources
