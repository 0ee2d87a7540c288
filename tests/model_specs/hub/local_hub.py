"""A small hub on this machine, and Hugging Face's own client in a process pointed at it.

The client reads its environment when it is imported, so each pull has a process of its own.
"""

import json
import os
import subprocess
import sys
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from codeserve.model_specs.spec import ModelSpec

REVISION = "0123456789abcdef0123456789abcdef01234567"

SCRIPT = """
import json, sys
import msgspec
from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.store import fetch
from codeserve.model_specs.spec import ModelSpec

seen = []
spec = msgspec.json.decode(sys.argv[1], type=ModelSpec)
try:
    path = fetch(spec, sys.argv[2], lambda done, total: seen.append((done, total)))
    print(json.dumps({"path": str(path), "progress": seen}))
except PullError as error:
    print(json.dumps({"error": str(error)}))
"""


class Pull(msgspec.Struct):
    """What one ``fetch`` came to."""

    path: str = ""
    error: str = ""
    progress: list[tuple[int, int | None]] = []


class Handler(BaseHTTPRequestHandler):
    """Answers as the hub would with what its server holds."""

    server: "Hub"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:
        self.server.requests.append(f"{self.command} {self.path}")

    def _answer(self, *, with_body: bool) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        is_api = parts[:2] == ["api", "models"]
        repository = "/".join(parts[2:4] if is_api else parts[:2])
        files = self.server.repositories.get(repository)
        if repository in self.server.refused:
            self._refuse(*self.server.refused[repository])
        elif files is None:
            self._refuse(401, "RepoNotFound")
        elif is_api:
            listing = _tree(files) if parts[4] == "tree" else _model(repository, files)
            self._reply(json.dumps(listing).encode(), with_body=with_body)
        elif (name := "/".join(parts[4:])) in files:
            self._reply(files[name], with_body=with_body)
        else:
            self._refuse(404, "EntryNotFound")

    def _reply(self, content: bytes, *, with_body: bool) -> None:
        self.send_response(200)
        self.send_header("ETag", f'"{sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Hub(ThreadingHTTPServer):
    """Repositories of files, served in the hub's protocol, and the requests it has seen."""

    def __init__(self, home: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.refused: dict[str, tuple[int, str]] = {}
        """Repository to the status and the hub's error code it answers with."""
        self.requests: list[str] = []
        self.home = home

    def pull(self, spec: ModelSpec, quantization: str, **environment: str) -> Pull:
        """Fetch in a new process."""
        variables = {
            **os.environ,
            "HF_HOME": str(self.home),
            "HF_ENDPOINT": f"http://127.0.0.1:{self.server_port}",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            **environment,
        }
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, msgspec.json.encode(spec).decode(), quantization],
            env=variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return msgspec.json.decode(done.stdout, type=Pull)


def _tree(files: dict[str, bytes]) -> list[dict[str, object]]:
    return [
        {"type": "file", "path": name, "size": len(content), "oid": sha1(content).hexdigest()}
        for name, content in files.items()
    ]


def _model(repository: str, files: dict[str, bytes]) -> dict[str, object]:
    siblings = [{"rfilename": name} for name in files]
    return {"id": repository, "sha": REVISION, "siblings": siblings}
