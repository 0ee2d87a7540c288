"""Weights on their way from a hub that stops in the middle of a file.

Hugging Face's client reads its environment when it is imported, so the manager has a process of
its own, with the hub in a thread.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelState
from codeserve.app.settings import ModelSettings, ServerSettings
from codeserve.model_specs.catalog import Catalog

SCRIPT = """
import asyncio, json, os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SIZE = 64 * 2**20
goes_on = threading.Event()

class Hub(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("X-Repo-Commit", "1" * 40)
        self.send_header("X-Linked-Size", str(SIZE))
        self.send_header("Content-Length", str(SIZE))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(bytes(SIZE // 2))
        goes_on.wait()
        try:
            self.wfile.write(bytes(SIZE // 2))
        except ConnectionError:
            pass

    def log_message(self, *args):
        pass

hub = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=hub.serve_forever, daemon=True).start()
os.environ |= {
    "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
    "HF_HOME": sys.argv[1],
    "HF_HUB_OFFLINE": "0",
    "HF_HUB_DISABLE_XET": "1",
}

from codeserve.app.manager.launcher import LocalLauncher
from codeserve.app.manager.manager import ModelManager
from codeserve.app.settings import ModelSettings, ServerSettings
from codeserve.model_specs.catalog import Catalog

async def main():
    manager = ModelManager(ServerSettings(), LocalLauncher(), Catalog.load(Path(sys.argv[2])))
    await manager.launch(ModelSettings(id="far", model_name="far"))
    while not manager.status("far").progress:
        await asyncio.sleep(0.01)
    pulling = manager.status("far")
    stopping = asyncio.create_task(manager.stop())
    await asyncio.sleep(0)
    goes_on.set()
    await stopping
    print(json.dumps([pulling.state, pulling.phase, pulling.progress, manager.status("far").state]))

asyncio.run(main())
"""

FAMILY = """
model_name = "far"
description = "Weights that take their time."
languages = ["en"]
abilities = ["generate"]

[[variants]]
name = "only"
context_length = 64

[[specs]]
size_in_billions = "1"
model_format = "ggufv2"
variant = "only"
quantizations = ["Q8_0"]
default_quantization = "Q8_0"
engines = ["llama.cpp"]
sources = [{ hub = "HUB", model_id = "some/far", file = "far.gguf" }]
"""


@pytest.fixture
def families(tmp_path: Path) -> Path:
    folder = tmp_path / "families"
    folder.mkdir()
    return folder


def test_a_pull_shows_its_progress_and_can_be_stopped(families: Path, tmp_path: Path) -> None:
    (families / "far.toml").write_text(FAMILY.replace("HUB", "huggingface"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "cache"), str(families)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ,
    )
    state, phase, progress, end = json.loads(done.stdout)
    assert (state, phase, end) == ("pulling", "downloading", "stopped")
    assert 0 < progress <= 0.5


async def test_weights_that_cannot_be_fetched_fail_the_model(families: Path, launcher: Any) -> None:
    family = FAMILY.replace("HUB", "package").replace("some/far", "no_such_package")
    (families / "far.toml").write_text(family)
    manager = ModelManager(ServerSettings(), launcher, Catalog.load(families))
    await manager.launch(ModelSettings(id="far", model_name="far"))
    status = await manager.wait_ready("far")
    assert status.state is ModelState.FAILED
    assert "no_such_package" in str(status.error)
    assert launcher.workers == []
