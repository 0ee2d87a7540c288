"""A running ``codeserve serve``, as a user starts it: a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from openai import OpenAI

ENGINES = Path(__file__).parents[2] / ".engines"
"""The engines' environments; ``make test`` makes them."""
COMMAND = Path(sys.executable).parent / "codeserve"
SERVE = (str(COMMAND), "serve")


@dataclass
class Server:
    """A server that was ready."""

    process: subprocess.Popen[str]
    url: str
    welcome: str
    """What it printed when it was ready."""
    log: Path

    @classmethod
    def start(
        cls, folder: Path, config: str, program: Sequence[str] = SERVE, **environment: str
    ) -> "Server":
        """Start a server of ``config`` on any free port and wait until it says it is ready."""
        file = folder / "codeserve.toml"
        file.write_text(config)
        log = folder / "server.log"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [*program, "--port", "0", "--config", str(file)],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=folder,
                env={**os.environ, "CODESERVE_ENGINES": str(ENGINES), **environment},
            )
        lines: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if "serve --model" in line:
                break
        welcome = "".join(lines)
        url = re.search(r"ready on (http://\S+)", welcome)
        assert url, f"the server did not start: {welcome}{log.read_text()}"
        return cls(process, url[1], welcome, log)

    @property
    def client(self) -> OpenAI:
        """The real client, without retries."""
        return OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0)

    def model(self, model_id: str) -> dict[str, Any]:
        """What GET /v1/models/{id} says."""
        shown: dict[str, Any] = httpx.get(f"{self.url}/v1/models/{model_id}", timeout=60).json()
        return shown

    def workers(self) -> list[psutil.Process]:
        """The engine processes."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> None:
        """Tell it to stop, and make sure; a second time does nothing."""
        if self.process.stdout is None or self.process.stdout.closed:
            return
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
