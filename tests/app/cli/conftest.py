"""``codeserve serve`` as users run it: a process of its own."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner, Result

from codeserve.app.cli.main import build_cli
from tests.app.conftest import RunningServer, fake_model, running_server

COMMAND = Path(sys.executable).with_name("codeserve")


class ServeProcess:
    """A running ``codeserve serve``; its output goes to files."""

    def __init__(self, folder: Path, config: str, *arguments: str, **environment: str) -> None:
        config_file = folder / "codeserve.toml"
        config_file.write_text(config)
        self._out = folder / "out"
        self._err = folder / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [COMMAND, "serve", "--config", config_file, "--port", "0", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **environment},
            )

    @property
    def out(self) -> str:
        """What it has written to stdout so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """What it has written to stderr so far."""
        return self._err.read_text()

    def url(self) -> str:
        """Where it answers, once it says that it is ready."""
        while self.process.poll() is None:
            if ready := re.search(r"ready on (https?://\S+)", self.out):
                return ready[1]
            time.sleep(0.02)
        pytest.fail(f"serve ended with {self.process.returncode}: {self.err}")

    def exit_code(self) -> int:
        """Wait for its end."""
        return self.process.wait(60)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServeProcess]]:
    """Start ``codeserve serve`` with a config; it is ended with the test."""
    started: list[ServeProcess] = []

    def start(config: str, *arguments: str, **environment: str) -> ServeProcess:
        started.append(ServeProcess(tmp_path, config, *arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


@pytest.fixture(scope="module")
def operated() -> Iterator[RunningServer]:
    """A server on which a test launches models of its own and ends them."""
    with running_server(fake_model("fast")) as running:
        yield running


@pytest.fixture
def command(operated: RunningServer) -> Callable[..., Result]:
    """Run a command against the operated server, in this process."""

    def run(name: str, *arguments: str) -> Result:
        return CliRunner().invoke(build_cli(), [name, "--endpoint", operated.url, *arguments])

    return run


@pytest.fixture
def answering() -> Iterator[Callable[[int, str, str], str]]:
    """Start a server that gives one answer to everything; its address."""
    servers: list[HTTPServer] = []

    def start(status: int, content_type: str, body: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.end_headers()
                self.wfile.write(body.encode())

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.do_GET()

            def log_message(self, *args: object) -> None: ...

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
