"""What ``make check`` says of the pinned packages."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

AUDIT = Path(__file__).parents[2] / ".ci" / "audit"
PACKAGES = ("sound", "leaking")
ADVISORY = {"id": "TEST-1", "summary": "It leaks.", "affected": []}


Audit = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """Audit a sound and a vulnerable package by the service of an address."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("".join(f"{name}==1.0 --hash=sha256:{64 * '0'}\n" for name in PACKAGES))

    def run(service: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "PIP_AUDIT_OSV_URL": service, "NO_PROXY": "*"}
        return subprocess.run(
            [AUDIT, requirements], capture_output=True, text=True, env=environment, check=False
        )

    return run


@pytest.fixture
def vulnerable() -> set[str]:
    """The packages that the service knows something of."""
    return set()


@pytest.fixture
def service(vulnerable: set[str]) -> Iterator[str]:
    """A vulnerability service on this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            known = asked["package"]["name"] in vulnerable
            answer = json.dumps({"vulns": [ADVISORY]} if known else {}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_package_with_a_known_vulnerability_fails(
    audit: Audit, service: str, vulnerable: set[str]
) -> None:
    sound = audit(service)
    assert sound.returncode == 0
    assert "No known vulnerabilities found" in sound.stdout

    vulnerable.add("leaking")
    leaking = audit(service)
    assert leaking.returncode == 1
    assert "leaking 1.0     TEST-1" in leaking.stdout
    assert "sound" not in leaking.stdout


def test_a_service_that_cannot_be_asked_is_said_and_no_failure(audit: Audit) -> None:
    done = audit("http://127.0.0.1:9/")
    assert done.returncode == 0
    assert done.stdout.startswith("Known vulnerabilities: NOT CHECKED")
