"""``codeserve verify``, ``cached``, ``rm`` and ``remove-cache`` on what was pulled."""

import json
import random
from pathlib import Path

import pytest

from tests.app.cli.machine import Machine
from tests.app.cli.machine import hub as hub
from tests.app.cli.machine import machine as machine
from tests.model_specs.hub.local_hub import LocalHub

WEIGHTS = random.Random(1).randbytes(100_000)
FOLDER = {"config.json": b"{}", "a.safetensors": WEIGHTS, "b.safetensors": WEIGHTS[::-1]}


@pytest.fixture(autouse=True)
def pulled(machine: Machine, hub: LocalHub) -> Path:
    """The folder of some weights with two large files."""
    hub.add("me/folder", FOLDER)
    return Path(machine.last("pull", "me/folder")["path"])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.resolve().write_bytes(content)


def test_sound_weights_are_said_to_be_sound(machine: Machine) -> None:
    event = machine.last("verify")
    assert (event["event"], event["name"]) == ("sound", "mine:1:none (pytorch)")
    assert event["bytes"] == 2 * len(WEIGHTS) + 2
    assert machine.last("verify", "me/folder")["event"] == "sound"


def test_a_damaged_file_is_named_and_only_it_is_fetched_again(
    machine: Machine, pulled: Path, hub: LocalHub
) -> None:
    flip(pulled / "a.safetensors")
    (pulled / "config.json").unlink()
    hub.requests.clear()
    found = machine.last("verify", code=1)
    assert found["event"] == "damaged"
    assert [one["file"] for one in found["damages"]] == ["a.safetensors", "config.json"]
    assert "its SHA-256 is " in found["damages"][0]["what"]
    assert found["damages"][1]["what"] == "missing"
    assert hub.requests == []

    assert machine.last("verify", "--repair")["event"] == "repaired"
    assert len(hub.downloads()) == 1
    assert machine.last("verify")["event"] == "sound"
    assert (pulled / "a.safetensors").read_bytes() == WEIGHTS


def test_what_cannot_be_repaired_is_said_and_remains(machine: Machine, pulled: Path) -> None:
    flip(pulled / "a.safetensors")
    machine.environment["HF_HUB_OFFLINE"] = "1"
    failed = machine.last("verify", "--repair", code=1)
    assert (failed["event"], failed["code"]) == ("failed", "offline")


def test_a_person_reads_lines(machine: Machine) -> None:
    assert "mine:1:none (pytorch): sound, 3 files, 200.0 kB" in machine.on_terminal("verify")


def test_what_was_pulled_is_listed_under_xinferences_names(machine: Machine, pulled: Path) -> None:
    [row] = json.loads(machine.run("cached", "--json")[0])
    assert row["model_version"] == "mine--1B--pytorch--none"
    assert (row["model_name"], row["model_format"]) == ("mine", "pytorch")
    assert (row["model_size_in_billions"], row["quantization"]) == ("1", "none")
    assert (row["hub"], row["repository"]) == ("huggingface", "me/folder")
    assert (row["path"], row["bytes"]) == (str(pulled), 2 * len(WEIGHTS) + 2)
    out, _ = machine.run("cached")
    for cell in ("mine", "pytorch", "huggingface", "200.0 kB"):
        assert cell in out
    assert machine.run("cached", "--model-name", "other")[0].startswith("Nothing was pulled")


def test_weights_are_deleted_when_that_is_confirmed(machine: Machine, pulled: Path) -> None:
    _, err = machine.run("rm", "me/folder", code=1)
    assert "200.0 kB at " in err
    assert (pulled / "config.json").exists()
    assert machine.run("rm", "me/folder", "--yes")[0] == "200.0 kB were freed.\n"
    assert not pulled.exists()
    assert "me/folder is not on this machine" in machine.refusal("rm", "me/folder", code=2)


def test_xinferences_remove_cache_deletes_by_version(machine: Machine, pulled: Path) -> None:
    wrong = ("remove-cache", "--model-version", "mine--1B--pytorch--8-bit", "--yes")
    assert "is not on this machine" in machine.refusal(*wrong, code=2)
    out, _ = machine.run(
        "remove-cache", "--model-version", "mine--1B--pytorch--none", "-y", "--json"
    )
    assert json.loads(out) == {"removed": [str(pulled)], "bytes_freed": 2 * len(WEIGHTS) + 2}
    assert "say what to delete" in machine.refusal("remove-cache", code=2)
