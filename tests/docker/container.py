"""A running container, as locked down as the documentation advises."""

import json
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from openai import OpenAI

from tests.docker.build import image
from tests.docker.store import Store

LOCKED_DOWN = (
    *("--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp:rw,size=512m,mode=1777"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)
READY_SECONDS = 120


@dataclass(frozen=True)
class Container:
    """A server in a container that listens on this machine's loopback address."""

    store: Store
    id: str
    url: str

    @classmethod
    def start(
        cls, store: Store, target: str, arguments: Sequence[str], mounts: Mapping[Path, str]
    ) -> "Container":
        """Run ``codeserve`` with ``arguments``, by default what the image runs."""
        port = free_port()
        container = store.run(
            *("podman", "run", "--detach", "--pull", "never", *LOCKED_DOWN),
            # The machine's loopback, which no other machine reaches.
            *("--network", "host", "--env", "CODESERVE_HOST=127.0.0.1"),
            *("--env", f"CODESERVE_PORT={port}"),
            *("--env", f"HEALTHCHECK_URL=http://127.0.0.1:{port}/readyz"),
            *(f"--volume={source}:{place}:ro" for source, place in mounts.items()),
            image(target),
            *arguments,
        )
        return cls(store, container.strip(), f"http://127.0.0.1:{port}")

    def wait_until_ready(self) -> None:
        """Wait until its models can be asked."""
        deadline = time.monotonic() + READY_SECONDS
        while not self.answers("/readyz"):
            assert self.state["Running"], f"the server ended: {self.log}"
            assert time.monotonic() < deadline, f"the server is not ready: {self.log}"
            time.sleep(0.1)

    def answers(self, path: str) -> bool:
        """Whether it answers 200 there."""
        try:
            return httpx.get(self.url + path, timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    def client(self, key: str = "none") -> OpenAI:
        """The real client, without retries."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)

    def execute(self, *command: str) -> str:
        """What ``command`` prints inside."""
        return self.store.run("podman", "exec", self.id, *command)

    def tell_to_stop(self, seconds: int) -> "subprocess.Popen[bytes]":
        """``podman stop``: SIGTERM now, SIGKILL after ``seconds``."""
        return subprocess.Popen(
            ["podman", "stop", "--time", str(seconds), self.id],
            env=self.store.environment,
            stdout=subprocess.DEVNULL,
        )

    @property
    def state(self) -> dict[str, Any]:
        """What podman knows of it."""
        state: dict[str, Any] = json.loads(self.store.run("podman", "inspect", self.id))[0]["State"]
        return state

    @property
    def log(self) -> str:
        """What it has written."""
        return subprocess.run(
            ["podman", "logs", self.id],
            env=self.store.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ).stdout

    def remove(self) -> None:
        """End it, and forget it and its volume."""
        self.store.run("podman", "rm", "--force", "--time", "0", "--volumes", self.id)


def free_port() -> int:
    """A port of the loopback address that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
