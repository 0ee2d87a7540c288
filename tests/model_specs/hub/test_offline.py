"""Without network, what is on this machine is found, and what is not is named."""

import os
import random
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.messages import decode_stored
from codeserve.model_specs.hub.store import Store
from codeserve.model_specs.hub.stored import Stored
from codeserve.model_specs.spec import Hub
from tests.model_specs.hub.local_hub import COMMIT, LocalHub

WEIGHTS = random.Random(5).randbytes(100_000)
FOLDER = {
    "config.json": b"{}",
    "model.safetensors.index.json": b'{"weight_map": {"a": "model-1.safetensors"}}',
    "model-1.safetensors": WEIGHTS,
}
HUGGINGFACE = Artifact(hub=Hub.HUGGINGFACE, repository="me/mine", revision=COMMIT)
MODELSCOPE = Artifact(hub=Hub.MODELSCOPE, repository="me/mine")
ONE_FILE = msgspec.structs.replace(HUGGINGFACE, files=("mine.gguf",))

FINDER = """
import socket, subprocess, sys
import msgspec
from pathlib import Path
from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.messages import encode
from codeserve.model_specs.hub.store import Store

def forbidden(*args, **kwargs):
    raise SystemExit(f"network or another process: {args}")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = forbidden
subprocess.Popen = forbidden
store = Store(Path(sys.argv[1]), offline=sys.argv[2] == "offline")
for source in msgspec.json.decode(sys.argv[3], type=list[Artifact]):
    try:
        print(encode(store.pull([source], lambda done, total: None)).decode())
    except PullError as error:
        print(encode([error.code, str(error)]).decode())
"""


def pull_without_network(store: Path, mode: str, *sources: Artifact) -> list[bytes]:
    """What a process that must not use the network says of each source.

    A process of its own also reads the variables of the hubs' caches anew.
    """
    command = [
        sys.executable,
        "-c",
        FINDER,
        str(store),
        mode,
        msgspec.json.encode(sources).decode(),
    ]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.splitlines()


def silent(done: int, total: int | None) -> None:
    pass


def test_what_was_pulled_is_found(hub: LocalHub, store: Store, tmp_path: Path) -> None:
    hub.add("me/mine", FOLDER)
    pulled = [store.pull([one], silent) for one in (HUGGINGFACE, MODELSCOPE)]
    hub.requests.clear()
    said = pull_without_network(tmp_path / "store", "offline", HUGGINGFACE, MODELSCOPE)
    assert [decode_stored(line) for line in said] == pulled
    assert hub.requests == []


def test_what_the_hubs_caches_hold_is_found(
    hub: LocalHub, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fill_huggingface(Path(os.environ["HF_HOME"]) / "hub" / "models--me--mine", FOLDER)
    modelscope = Path(os.environ["MODELSCOPE_CACHE"]) / "models/me--mine/snapshots/master"
    fill(modelscope, FOLDER)
    sources = (HUGGINGFACE, msgspec.structs.replace(HUGGINGFACE, revision=None), MODELSCOPE)
    said = pull_without_network(tmp_path / "store", "as the variable says", *sources)
    for line in said:
        found = decode_stored(line)
        digests = {file.name: file.sha256 for file in found.files}
        assert digests == {name: sha256(one).hexdigest() for name, one in FOLDER.items()}
        assert store.verify(found, silent) == ()
    assert decode_stored(said[-1]).path == modelscope


def test_half_of_a_folder_in_a_cache_is_not_taken_for_a_model(
    hub: LocalHub, tmp_path: Path
) -> None:
    index = b'{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    repository = Path(os.environ["HF_HOME"]) / "hub" / "models--me--mine"
    fill_huggingface(repository, {**FOLDER, "model.safetensors.index.json": index})
    (line,) = pull_without_network(tmp_path / "store", "offline", HUGGINGFACE)
    assert msgspec.json.decode(line)[0] == "offline"


def test_a_missing_file_is_named_with_the_command_that_gets_it(
    hub: LocalHub, tmp_path: Path
) -> None:
    (line,) = pull_without_network(tmp_path / "store", "offline", ONE_FILE)
    code, message = msgspec.json.decode(line)
    assert code == "offline"
    assert "mine.gguf of huggingface me/mine" in message
    assert f"`codeserve pull me/mine --file mine.gguf --revision {COMMIT}`" in message


def test_a_damaged_file_is_not_repaired(hub: LocalHub, store: Store, tmp_path: Path) -> None:
    hub.add("me/mine", {"mine.gguf": WEIGHTS})
    stored = store.pull([ONE_FILE], silent)
    stored.path.resolve().write_bytes(b"short")
    hub.requests.clear()
    with pytest.raises(PullError, match=r"Offline mode: mine\.gguf") as raised:
        Store(tmp_path / "store", offline=True).repair(stored, silent)
    assert raised.value.code == "offline"
    assert hub.requests == []


def test_half_of_a_pull_is_not_taken_for_what_a_cache_holds(
    hub: LocalHub, store: Store, tmp_path: Path
) -> None:
    hub.add("me/mine", {**FOLDER, "tokenizer.json": b"{}"})
    gone = {"X-Error-Code": "EntryNotFound"}
    hub.fail(f"/me/mine/resolve/{COMMIT}/tokenizer.json", times=2, status=404, headers=gone)
    with pytest.raises(PullError):
        store.pull([HUGGINGFACE], silent)
    (line,) = pull_without_network(tmp_path / "store", "offline", HUGGINGFACE)
    assert msgspec.json.decode(line)[0] == "offline"


def test_files_whose_times_have_changed_are_read_and_found(hub: LocalHub, tmp_path: Path) -> None:
    hub.add("me/mine", {"mine.gguf": WEIGHTS})
    stored = Store(tmp_path / "store").pull([ONE_FILE], silent)
    os.utime(stored.path, (1, 1))
    offline = Store(tmp_path / "store", offline=True)
    assert offline.find([ONE_FILE]) is None
    assert offline.pull([ONE_FILE], silent).path == stored.path
    assert offline.find([ONE_FILE]) is not None
    os.utime(stored.path, (2, 2))
    stored.path.resolve().write_bytes(WEIGHTS[::-1])
    with pytest.raises(PullError, match=r"mine\.gguf of huggingface me/mine .* is not whole"):
        offline.pull([ONE_FILE], silent)


def test_a_hub_that_is_down_does_not_hide_what_its_cache_holds(
    hub: LocalHub, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
    fill(Path(os.environ["MODELSCOPE_CACHE"]) / "models/me--mine/snapshots/master", FOLDER)
    found: Stored = store.pull([MODELSCOPE], silent)
    assert (found.path / "model-1.safetensors").read_bytes() == WEIGHTS


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def fill_huggingface(repository: Path, files: dict[str, bytes]) -> None:
    """The layout of the library's cache."""
    shutil.rmtree(repository, ignore_errors=True)
    fill(repository, {"refs/main": COMMIT.encode()})
    fill(repository / "blobs", {sha256(one).hexdigest(): one for one in files.values()})
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name, content in files.items():
        (snapshot / name).symlink_to(f"../../blobs/{sha256(content).hexdigest()}")
