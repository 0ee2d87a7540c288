"""Downloads that break off go on where they were; many who want one share it; each can cancel."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from codeserve.model_specs.errors import PullCancelled, PullError
from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.store import Store
from codeserve.model_specs.spec import Hub
from tests.model_specs.hub.local_hub import LocalHub

WEIGHTS = random.Random(3).randbytes(4_000_000)
HALF = 1_500_000
"""Bytes that are surely written when a connection stalls after 2 MB."""
HUGGINGFACE = Artifact(hub=Hub.HUGGINGFACE, repository="me/mine", files=("mine.gguf",))
MODELSCOPE = replace(HUGGINGFACE, hub=Hub.MODELSCOPE)
BOTH = pytest.mark.parametrize("artifact", [HUGGINGFACE, MODELSCOPE])

PULLER = """
import sys
from pathlib import Path
from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.store import Store
from codeserve.model_specs.spec import Hub

artifact = Artifact(hub=Hub(sys.argv[2]), repository="me/mine", files=("mine.gguf",))
stored = Store(Path(sys.argv[1])).pull(
    [artifact], lambda done, total: print(done, total, flush=True)
)
print(stored.path, flush=True)
"""


@contextmanager
def puller(folder: Path, artifact: Artifact) -> Iterator[subprocess.Popen[str]]:
    """Another process that pulls the artifact; it prints its progress, then the path."""
    command = [sys.executable, "-c", PULLER, str(folder), artifact.hub]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def wait_for_half(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    while int(process.stdout.readline().split()[0]) < HALF:
        pass


def silent(done: int, total: int | None) -> None:
    pass


def processes_that_pull() -> list[psutil.Process]:
    """Those of this test; processes of other tests may run, or have ended, beside them."""
    return [
        one
        for one in psutil.Process().children(recursive=True)
        if one.status() != psutil.STATUS_ZOMBIE and "codeserve.model_specs.hub" in one.cmdline()
    ]


@BOTH
def test_a_connection_that_breaks_is_resumed(
    hub: LocalHub, store: Store, artifact: Artifact
) -> None:
    hub.add("me/mine", {"mine.gguf": WEIGHTS})
    hub.fail("/cdn/", cut_at=2_000_000)
    assert store.pull([artifact], silent).path.read_bytes() == WEIGHTS
    ranges = [one.range for one in hub.downloads()]
    assert ranges[0] is None
    assert all(1_000_000 < int(str(one)[6:-1]) <= 2_000_000 for one in ranges[1:])


@BOTH
def test_a_connection_that_stalls_is_left_and_resumed(
    hub: LocalHub, store: Store, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    monkeypatch.setenv("MODELSCOPE_DOWNLOAD_TIMEOUT", "1")
    hub.add("me/mine", {"mine.gguf": WEIGHTS})
    hub.fail("/cdn/", stall_at=2_000_000)
    assert store.pull([artifact], silent).path.read_bytes() == WEIGHTS
    first, *others = hub.downloads()
    assert first.range is None
    assert all(int(str(one.range)[6:-1]) >= HALF for one in others)
    assert others


@BOTH
def test_a_pull_killed_halfway_is_resumed_by_the_next(
    hub: LocalHub, store: Store, artifact: Artifact, tmp_path: Path
) -> None:
    hub.add("me/mine", {"mine.gguf": WEIGHTS})
    hub.fail("/cdn/", stall_at=2_000_000)
    with puller(tmp_path / "store", artifact) as process:
        wait_for_half(process)
        children = psutil.Process(process.pid).children()
        os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs(children, timeout=10)
        assert not any(one.is_running() for one in children)
    assert store.find([artifact]) is None
    stored = store.pull([artifact], silent)
    assert stored.path.read_bytes() == WEIGHTS
    _, second = hub.downloads()
    assert int(str(second.range)[6:-1]) >= HALF


@BOTH
def test_many_who_want_the_same_share_one_download(
    hub: LocalHub, store: Store, artifact: Artifact, tmp_path: Path
) -> None:
    hub.add("me/mine", {"mine.gguf": WEIGHTS})
    hub.pause = 0.01
    first: list[int] = []
    second: list[int] = []
    with puller(tmp_path / "store", artifact) as process, ThreadPoolExecutor() as pool:
        pulls = [
            pool.submit(store.pull, [artifact], lambda done, total: first.append(done)),
            pool.submit(store.pull, [artifact], lambda done, total: second.append(done)),
        ]
        paths = {str(pull.result().path) for pull in pulls}
        said, _ = process.communicate(timeout=60)
    assert paths == {said.splitlines()[-1]}
    assert len(hub.downloads()) == 1
    assert any(0 < done < len(WEIGHTS) for done in first)
    assert any(0 < done < len(WEIGHTS) for done in second)


def test_a_waiter_goes_on_where_a_holder_has_died(
    hub: LocalHub, store: Store, tmp_path: Path
) -> None:
    hub.add("me/mine", {"mine.gguf": WEIGHTS})
    hub.fail("/cdn/", stall_at=2_000_000)
    with puller(tmp_path / "store", HUGGINGFACE) as process, ThreadPoolExecutor() as pool:
        wait_for_half(process)
        waiter = pool.submit(store.pull, [HUGGINGFACE], silent)
        process.kill()
        assert waiter.result().path.read_bytes() == WEIGHTS
    assert [one.range is None for one in hub.downloads()] == [True, False]


@BOTH
def test_a_pull_can_be_cancelled_while_its_connection_stalls(
    hub: LocalHub, store: Store, artifact: Artifact
) -> None:
    hub.add("me/mine", {"mine.gguf": WEIGHTS})
    hub.fail("/cdn/", stall_at=2_000_000)

    def cancel(done: int, total: int | None) -> None:
        if done >= HALF:
            raise PullCancelled

    with pytest.raises(PullCancelled) as raised:
        store.pull([artifact], cancel)
    assert raised.value.code == "cancelled"
    assert processes_that_pull() == []
    assert store.stored() == ()
    assert store.find([artifact]) is None
    assert store.pull([artifact], silent).path.read_bytes() == WEIGHTS
    assert hub.downloads()[-1].range is not None


def test_a_process_that_crashes_is_an_error_with_its_last_words(
    hub: LocalHub, store: Store
) -> None:
    hub.add("me/mine", {"mine.gguf": WEIGHTS})
    hub.fail("/cdn/", stall_at=2_000_000)

    def crash(done: int, total: int | None) -> None:
        if done >= HALF:
            for process in processes_that_pull():
                process.send_signal(signal.SIGSEGV)

    with pytest.raises(PullError, match="The process that pulls has crashed"):
        store.pull([HUGGINGFACE], crash)
    assert store.pull([HUGGINGFACE], silent).path.read_bytes() == WEIGHTS


def test_a_file_that_xet_stores_comes_by_http_where_xet_is_off(hub: LocalHub, store: Store) -> None:
    hub.add("me/mine", {"mine.gguf": WEIGHTS}).xet = True
    assert store.pull([HUGGINGFACE], silent).path.read_bytes() == WEIGHTS


def test_a_file_that_xet_stores_comes_by_http_where_xet_fails(
    hub: LocalHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "0")
    hub.add("me/mine", {"mine.gguf": WEIGHTS}).xet = True
    assert store.pull([HUGGINGFACE], silent).path.read_bytes() == WEIGHTS
    assert any("xet-auth" in one.path for one in hub.requests)


def test_what_killed_downloads_have_left_is_swept_and_used(
    hub: LocalHub, store: Store, tmp_path: Path
) -> None:
    hub.add("me/mine", {"mine.gguf": WEIGHTS})
    blobs = tmp_path / "huggingface" / "hub" / "models--me--mine" / "blobs"
    blobs.mkdir(parents=True)
    digest = sha256(WEIGHTS).hexdigest()
    (blobs / f"{digest}.0a1b2c3d.incomplete").write_bytes(b"of no use to anybody")
    (blobs / f"{digest}.incomplete").write_bytes(WEIGHTS[:HALF])
    assert store.pull([HUGGINGFACE], silent).path.read_bytes() == WEIGHTS
    assert [one.range for one in hub.downloads()] == [f"bytes={HALF}-"]
    assert [one.name for one in blobs.iterdir()] == [digest]


def test_nothing_that_the_client_libraries_say_is_printed(
    hub: LocalHub, store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.add("me/mine", {"mine.gguf": WEIGHTS})
    before = {*sys.modules}
    for artifact in (HUGGINGFACE, MODELSCOPE):
        hub.fail("/cdn/", cut_at=2_000_000)
        store.pull([artifact], silent)
    assert capfd.readouterr() == ("", "")
    assert not any(name.startswith("modelscope") for name in {*sys.modules} - before)
