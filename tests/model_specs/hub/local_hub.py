"""A hub on this machine that speaks the protocols of Hugging Face and of ModelScope.

Large files are served by a content server under another host name, to which the hub redirects.
What a request gets wrong is said by faults, each of which happens once.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".gguf", ".safetensors", ".bin")
BLOCK = 2**15


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong with the next request of a path that contains ``where``."""

    where: str
    status: int | None = None
    headers: dict[str, str] = {}
    cut_at: int | None = None
    """Bytes of the body after which the connection is closed."""
    stall_at: int | None = None
    """Bytes of the body after which nothing comes any more."""
    flip: int | None = None
    """Position of a byte of the body that is wrong."""


class Repository:
    """Files at one commit."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.revisions = {COMMIT, "main", "master"}
        self.refusal: tuple[int, dict[str, str]] | None = None
        """Status and headers that every request for a file gets."""
        self.token: str | None = None
        """What must be sent to see the repository."""
        self.sizes: dict[str, int] = {}
        """What is said of a file's size where it is not the truth."""
        self.xet = False


class Request(msgspec.Struct, frozen=True):
    """What the hub has been asked."""

    method: str
    path: str
    range: str | None
    authorization: str | None


class Handler(BaseHTTPRequestHandler):
    """Answers as the hubs would with what its server holds."""

    server: "LocalHub"

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self) -> None:
        url = urlsplit(self.path)
        path, query = unquote(url.path), {k: v[0] for k, v in parse_qs(url.query).items()}
        said = path + (f"?{unquote(url.query)}" if url.query else "")
        heads = self.headers
        self.server.requests.append(
            Request(self.command, said, heads.get("Range"), heads.get("Authorization"))
        )
        self._fault = self.server.next_fault(f"{self.command} {said}")
        if self._fault is not None and self._fault.status is not None:
            return self._refuse(self._fault.status, self._fault.headers)
        parts = path.strip("/").split("/")
        match parts:
            case ["cdn", key]:
                self._content(self.server.blob(key), {"ETag": f'"{key}"'})
            case ["api", "models", owner, name, *rest]:
                self._huggingface_listing(f"{owner}/{name}", rest[1] if rest else "main")
            case ["api", "v1", "models", owner, name, *rest]:
                self._modelscope(f"{owner}/{name}", rest, query)
            case ["openapi", "v1", "models", owner, name]:
                self._modelscope(f"{owner}/{name}", [], query)
            case [owner, name, "resolve", revision, *file]:
                self._huggingface_file(f"{owner}/{name}", revision, "/".join(file))
            case _:
                self._refuse(404)

    def _repository(self, name: str) -> Repository | None:
        repository = self.server.repositories.get(name)
        if repository is None or repository.token is None:
            return repository
        sent = self.headers.get("Authorization")
        return repository if sent == f"Bearer {repository.token}" else None

    def _huggingface_listing(self, name: str, revision: str) -> None:
        repository = self._repository(name)
        if repository is None:
            return self._refuse(401, {"X-Error-Code": "RepoNotFound"})
        if revision not in repository.revisions:
            return self._refuse(404, {"X-Error-Code": "RevisionNotFound"})
        siblings: list[dict[str, Any]] = []
        for file, content in repository.files.items():
            size = repository.sizes.get(file, len(content))
            sibling: dict[str, Any] = {"rfilename": file, "size": size, "blobId": git_id(content)}
            if file.endswith(LARGE):
                digest = sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": digest, "size": size, "pointerSize": 134}
            siblings.append(sibling)
        self._json({"id": name, "sha": COMMIT, "siblings": siblings})

    def _huggingface_file(self, name: str, revision: str, file: str) -> None:
        repository = self._repository(name)
        if repository is None:
            return self._refuse(401, {"X-Error-Code": "RepoNotFound"})
        if repository.refusal is not None:
            return self._refuse(*repository.refusal)
        if revision not in repository.revisions:
            return self._refuse(404, {"X-Error-Code": "RevisionNotFound"})
        content = repository.files.get(file)
        if content is None:
            return self._refuse(404, {"X-Error-Code": "EntryNotFound"})
        commit = {"X-Repo-Commit": COMMIT}
        if not file.endswith(LARGE):
            return self._content(content, {**commit, "ETag": f'"{git_id(content)}"'})
        digest = sha256(content).hexdigest()
        linked = {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{digest}"'}
        if repository.xet:
            linked["X-Xet-Hash"] = digest
            linked["Link"] = f'<{self.server.url}/xet-auth>; rel="xet-auth"'
        self._redirect(digest, {**commit, **linked})

    def _modelscope(self, name: str, rest: list[str], query: dict[str, str]) -> None:
        repository = self._repository(name)
        if repository is None:
            return self._refuse(404, body={"Code": 10010205001, "Message": "模型不存在"})
        if rest and query.get("Revision") not in repository.revisions:
            return self._refuse(404, body={"Code": 10010205002, "Message": "版本不存在"})
        match rest:
            case []:
                self._json({"Code": 200, "Data": {"Path": name, "Name": name}})
            case ["repo", "files"]:
                files = [
                    {
                        "Path": file,
                        "Size": repository.sizes.get(file, len(content)),
                        "Sha256": sha256(content).hexdigest(),
                        "Type": "blob",
                    }
                    for file, content in repository.files.items()
                ]
                self._json({"Code": 200, "Data": {"Files": files}})
            case _ if repository.refusal is not None:
                self._refuse(*repository.refusal)
            case _:
                content = repository.files.get(query["FilePath"])
                if content is None:
                    self._refuse(404, body={"Code": 10010205003, "Message": "文件不存在"})
                elif query["FilePath"].endswith(LARGE):
                    self._redirect(sha256(content).hexdigest(), {})
                else:
                    self._content(content, {})

    def _json(self, value: object) -> None:
        self._content(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _redirect(self, digest: str, headers: dict[str, str]) -> None:
        self.send_response(302)
        location = f"http://localhost:{self.server.server_port}/cdn/{quote(digest)}"
        self._headers({**headers, "Location": location, "Content-Length": "0"})

    def _refuse(
        self, status: int, headers: dict[str, str] | None = None, body: object = None
    ) -> None:
        content = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self._headers({**(headers or {}), "Content-Length": str(len(content))})
        self.wfile.write(content)

    def _content(self, content: bytes, headers: dict[str, str]) -> None:
        start, asked = 0, self.headers.get("Range")
        if asked is not None:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            if start >= len(content):
                return self._refuse(416, {"Content-Range": f"bytes */{len(content)}"})
            place = f"bytes {start}-{len(content) - 1}/{len(content)}"
            headers = {**headers, "Content-Range": place}
        self.send_response(200 if asked is None else 206)
        self._headers({**headers, "Content-Length": str(len(content) - start)})
        if self.command == "GET":
            self._body(content, start)

    def _headers(self, headers: dict[str, str]) -> None:
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self, content: bytes, start: int) -> None:
        fault = self._fault or Fault(where="")
        if fault.flip is not None:
            wrong = bytes([content[fault.flip] ^ 1])
            content = content[: fault.flip] + wrong + content[fault.flip + 1 :]
        ends = [end for end in (fault.cut_at, fault.stall_at) if end is not None]
        end = min([len(content), *ends])
        for position in range(start, end, BLOCK):
            self.wfile.write(content[position : min(position + BLOCK, end)])
            self.server.pace.wait(self.server.pause)
        self.wfile.flush()
        if fault.stall_at is not None:
            self.server.pace.wait(60)


class LocalHub(ThreadingHTTPServer):
    """Repositories, faults, and the requests it has seen."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.pause = 0.0
        """Seconds between the blocks of a body."""
        self.pace = Event()
        """Set: nothing waits any more."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def variables(self, folder: Path) -> dict[str, str]:
        """The environment in which this is both hubs, with caches below ``folder``."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(folder / "huggingface"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DOWNLOAD_TIMEOUT": "600",
            "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": "",
            "MODELSCOPE_ENDPOINT": self.url,
            "MODELSCOPE_CACHE": str(folder / "modelscope"),
            "MODELSCOPE_HOME": str(folder / "modelscope-home"),
            "MODELSCOPE_DOWNLOAD_TIMEOUT": "600",
            "MODELSCOPE_API_TOKEN": "",
        }

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what some tests are about."""

    def add(self, name: str, files: dict[str, bytes]) -> Repository:
        self.repositories[name] = Repository(files)
        return self.repositories[name]

    def fail(self, where: str, times: int = 1, **fault: Any) -> None:
        self.faults += [Fault(where=where, **fault)] * times

    def next_fault(self, request: str) -> Fault | None:
        for fault in self.faults:
            if fault.where in request:
                self.faults.remove(fault)
                return fault
        return None

    def blob(self, digest: str) -> bytes:
        contents = [file for one in self.repositories.values() for file in one.files.values()]
        return next(one for one in contents if sha256(one).hexdigest() == digest)

    def downloads(self) -> list[Request]:
        """What was asked of the content server."""
        return [one for one in self.requests if one.path.startswith("/cdn/")]


@contextmanager
def serving() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        thread = Thread(target=hub.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield hub
        finally:
            hub.pace.set()
            hub.shutdown()
            thread.join()


def git_id(content: bytes) -> str:
    return sha1(b"blob %d\0" % len(content) + content).hexdigest()
