"""Builds images for CPUs with buildah on a Debian that mmdebstrap makes: no registry is asked.

    python -m tests.docker.build llama-cpp-cpu transformers-cpu

What this machine tells pip and apt (indexes, proxies, certificates) is mounted for the build and
is no part of an image.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.docker.store import Store

ROOT = Path(__file__).parents[2]
BASE = "localhost/codeserve-base:bookworm"
BASE_PACKAGES = "ca-certificates,python3,python3-venv"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def image(target: str) -> str:
    """The name of the image that is built for ``target``."""
    return f"localhost/codeserve:{target}"


def make_base(store: Store) -> None:
    """Import a minimal Debian with Python, once."""
    if store.has_image(BASE):
        return
    with tempfile.TemporaryDirectory() as scratch:
        archive = f"{scratch}/base.tar"
        packages = f"--include={BASE_PACKAGES}"
        run(store, "mmdebstrap", "--quiet", "--variant=minbase", packages, "bookworm", archive)
        run(store, "podman", "import", "--quiet", archive, BASE)


def build(store: Store, target: str, mounts: list[str]) -> None:
    """Build one stage of the Dockerfile."""
    run(
        store,
        *("buildah", "bud", "--quiet", "--layers", "--format", "docker"),
        *("--isolation", "chroot", "--network", "host", "--pull-never"),
        *(argument for mount in mounts for argument in ("--volume", mount)),
        *("--build-arg", f"BASE_IMAGE={BASE}", "--file", str(ROOT / "docker/Dockerfile")),
        *("--target", target, "--tag", image(target), str(ROOT)),
    )


def pip_settings() -> str:
    """This machine's settings of pip, from files and the environment, as one file."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    found = re.findall(r"^(?:global|:env:)\.([\w-]+)='(.*)'$", listed.stdout, re.MULTILINE)
    return "\n".join(["[global]", *(f"{name} = {value}" for name, value in dict(found).items())])


def apt_settings() -> str:
    """How this machine's apt fetches."""
    listed = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
    kept = re.compile(r'^Acquire::(?:Check|https?|Retries|AllowInsecure).* ".+";$', re.MULTILINE)
    return "\n".join(kept.findall(listed.stdout)) + "\n"


def local_paths(settings: str) -> Iterator[str]:
    """What ``settings`` name of this machine; the files of an index lie beside its ``simple``."""
    for name in re.findall(r"(?:file://|(?<=[\s=]))(/[^\s']+)", settings):
        path = Path(name)
        if path.exists():
            yield str(path.parent if path.name == "simple" else path)


def host_mounts(folder: Path) -> list[str]:
    """What the build sees of this machine, read-only."""
    pip, apt = folder / "pip.conf", folder / "apt.conf"
    pip.write_text(pip_settings())
    apt.write_text(apt_settings())
    same = {path: path for path in local_paths(pip.read_text())}
    if CERTIFICATES.exists():
        same[str(CERTIFICATES)] = str(CERTIFICATES)
    mounts = {str(pip): "/etc/pip.conf", str(apt): "/etc/apt/apt.conf.d/99machine", **same}
    return [f"{source}:{target}:ro" for source, target in mounts.items()]


def wheels(store: Store) -> Path:
    """Where builds of llama.cpp are kept for images whose layers are gone."""
    folder = store.folder / "llama-cpp"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(store: Store, *command: str) -> None:
    """Run ``command`` and let its output be seen. Raises CalledProcessError."""
    subprocess.run(command, env=store.environment, check=True)


def main() -> None:
    """Build the images of the targets that the command line names, saying how long each took."""
    if missing := Store.missing():
        sys.exit(f"Building images needs {', '.join(missing)}: apt-get install {' '.join(missing)}")
    store = Store.of_user()
    make_base(store)
    with tempfile.TemporaryDirectory() as scratch:
        mounts = host_mounts(Path(scratch))
        mounts.append(f"{wheels(store)}:/root/.cache/codeserve/llama-cpp")
        for target in sys.argv[1:]:
            began = time.monotonic()
            build(store, target, mounts)
            sys.stdout.write(f"{image(target)}: {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
