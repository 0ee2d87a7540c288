"""``codeserve export`` on one machine, ``codeserve import`` on another that reaches no hub."""

import json
import random
from pathlib import Path

import pytest

from tests.app.cli.machine import FAMILY, Machine
from tests.app.cli.machine import hub as hub
from tests.app.cli.machine import machine as machine
from tests.app.cli.machine import other_machine as other_machine
from tests.model_specs.hub.local_hub import LocalHub

WEIGHTS = random.Random(1).randbytes(300_000)


@pytest.fixture
def bundle(machine: Machine, hub: LocalHub, tmp_path: Path) -> Path:
    hub.add("me/mine", {"mine.Q8_0.gguf": WEIGHTS})
    machine.last("pull", "mine")
    path = tmp_path / "mine.tar"
    event = machine.last("export", "mine", "-o", str(path))
    assert (event["event"], event["bytes"]) == ("exported", len(WEIGHTS))
    assert event["definitions"] == ["mine.toml"]
    return path


def test_what_was_exported_is_there_on_the_other_machine_with_its_family(
    bundle: Path, other_machine: Machine, hub: LocalHub
) -> None:
    hub.requests.clear()
    *_, registered, imported = other_machine.events("import", str(bundle))
    assert (registered["event"], registered["families"]) == ("registered", ["mine"])
    assert imported["event"] == "imported"
    assert Path(imported["path"]).read_bytes() == WEIGHTS
    assert imported["serve"].endswith("serve --model mine:1:Q8_0")
    assert other_machine.last("pull", "mine")["path"] == imported["path"]
    assert other_machine.last("verify")["event"] == "sound"
    [row] = json.loads(other_machine.run("cached", "--json")[0])
    assert (row["model_name"], row["path"]) == ("mine", imported["path"])
    again = other_machine.events("import", str(bundle))
    assert again[-1] == imported
    assert "registered" not in [one["event"] for one in again]
    assert hub.requests == []


def test_a_family_that_means_something_else_here_is_kept(
    bundle: Path, other_machine: Machine
) -> None:
    other_machine.learn(FAMILY.replace("of the user's own", "of another user's"))
    reason = other_machine.last("import", str(bundle), code=1)["message"]
    assert "mine is another family here than in the bundle" in reason
    assert not other_machine.store.exists()


def test_a_damaged_bundle_leaves_nothing(bundle: Path, other_machine: Machine) -> None:
    content = bytearray(bundle.read_bytes())
    content[200_000] ^= 1
    bundle.write_bytes(content)
    assert (
        "the SHA-256 of mine.Q8_0.gguf is"
        in other_machine.last("import", str(bundle), code=1)["message"]
    )
    assert other_machine.run("cached")[0].startswith("Nothing was pulled")
    assert not other_machine.families.exists()


def test_a_bundle_is_not_replaced_unless_asked(bundle: Path, machine: Machine) -> None:
    arguments = ("export", "mine", "-o", str(bundle))
    assert "exists; --force replaces it" in machine.refusal(*arguments, code=2)
    assert machine.last(*arguments, "--force")["event"] == "exported"


def test_what_was_not_pulled_cannot_be_exported(machine: Machine, tmp_path: Path) -> None:
    arguments = ("export", "mine", "-o", str(tmp_path / "mine.tar"))
    assert "mine is not on this machine" in machine.refusal(*arguments, code=2)


def test_damaged_weights_are_not_exported(bundle: Path, machine: Machine, tmp_path: Path) -> None:
    Path(machine.last("pull", "mine")["path"]).resolve().write_bytes(WEIGHTS[::-1])
    failed = machine.last("export", "mine", "-o", str(tmp_path / "other.tar"), code=1)
    assert "codeserve verify --repair" in failed["message"]
    assert list(tmp_path.glob("other.tar*")) == []


def test_a_store_that_cannot_be_written_is_told_in_a_line(
    bundle: Path, other_machine: Machine
) -> None:
    other_machine.store.parent.mkdir(parents=True)
    other_machine.store.write_text("no folder")
    failed = other_machine.last("import", str(bundle), code=1)
    assert failed["message"].startswith(str(other_machine.store))
