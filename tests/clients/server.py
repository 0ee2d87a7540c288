"""A running ``codeserve serve``, whose packages the clients' environment does not have."""

import re
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).parents[2]
BIN = REPOSITORY / ".venv" / "bin"

EMBEDDED = "smollm2-135m-instruct"
BASE = "tiny-base"
INSTRUCT = "tiny-instruct"


def write_models(folder: Path) -> Path:
    """``folder`` with the tiny model in it, in the format of DeepSeek Coder v1."""
    command = (str(BIN / "python"), "-m", "tests.clients.write_models", str(folder))
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=120)
    return folder


@dataclass(frozen=True)
class Server:
    """A server that was ready."""

    process: subprocess.Popen[str]
    url: str

    @classmethod
    def start(cls, folder: Path, config: str) -> "Server":
        """Start a server of ``config`` on any free port and wait until it says it is ready.

        Relative paths in ``config`` start at ``folder``.
        """
        file, log = folder / "codeserve.toml", folder / "server.log"
        file.write_text(config)
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [BIN / "codeserve", "serve", "--port", "0", "--config", file],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=folder,
            )
        welcome = ""
        assert process.stdout is not None
        for line in process.stdout:
            welcome += line
            if "serve --model" in line:
                break
        url = re.search(r"ready on (http://\S+)", welcome)
        assert url, f"the server did not start: {welcome}{log.read_text()}"
        return cls(process, url[1])

    @property
    def api(self) -> str:
        """The base address that OpenAI's clients ask for."""
        return f"{self.url}/v1"

    def kill_workers(self) -> None:
        """End the engine processes as a crash would."""
        for worker in psutil.Process(self.process.pid).children(recursive=True):
            worker.kill()

    def end(self) -> None:
        """Tell it to stop, and make sure."""
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
