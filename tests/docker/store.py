"""Where images and containers under test are kept, and the commands that work on them.

Everything lies in the user's cache folder, so that a clean clone builds on the layers of the last
one, and nothing touches the images of the machine.
"""

import os
import shutil
import subprocess
from pathlib import Path

COMMANDS = ("buildah", "podman", "runc", "mmdebstrap")
"""Programs that building and running needs; each is a Debian package of its name."""

STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""
ENGINE = """\
[containers]
# A container gets these limits instead of podman's, which only a privileged process may raise.
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
log_driver = "k8s-file"

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Store:
    """A folder of images and containers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of_user(cls) -> "Store":
        """The one in the user's cache folder."""
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return cls(Path(base) / "codeserve" / "containers")

    @staticmethod
    def missing() -> tuple[str, ...]:
        """The programs that are not installed."""
        return tuple(command for command in COMMANDS if not shutil.which(command))

    @property
    def environment(self) -> dict[str, str]:
        """What buildah and podman read; caches of build steps are in the folder, too."""
        files = {"storage.conf": STORAGE.format(folder=self.folder), "containers.conf": ENGINE}
        scratch = self.folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (self.folder / name).write_text(text)
        return os.environ | {
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "TMPDIR": str(scratch),
        }

    def run(self, *command: str, seconds: float = 60) -> str:
        """What ``command`` prints. Raises CalledProcessError, with its output as a note."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=seconds
        )
        try:
            done.check_returncode()
        except subprocess.CalledProcessError as error:
            error.add_note(f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
            raise
        return done.stdout

    def has_image(self, name: str) -> bool:
        """Whether there is an image of this name."""
        command = ["podman", "image", "exists", name]
        return subprocess.run(command, env=self.environment).returncode == 0
