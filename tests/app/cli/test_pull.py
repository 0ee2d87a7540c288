"""``codeserve pull`` against a hub, as users and programs run it."""

import json
import random
import signal
from pathlib import Path

import pytest

from tests.app.cli.machine import Machine
from tests.app.cli.machine import hub as hub
from tests.app.cli.machine import machine as machine
from tests.app.cli.machine import other_machine as other_machine
from tests.app.cli.machine import real_machine as real_machine
from tests.model_specs.hub.local_hub import COMMIT, LocalHub

WEIGHTS = random.Random(1).randbytes(2_500_000)
FILES = {"mine.Q8_0.gguf": WEIGHTS, "mine.Q4_0.gguf": b"other", "README.md": b"not needed"}
FOLDER = {"config.json": b"{}", "model.safetensors": WEIGHTS, "notes.md": b"not needed"}


def test_a_spec_is_pulled_once_and_how_to_serve_it_is_said(
    real_machine: Machine, hub: LocalHub
) -> None:
    hub.add("me/mine", FILES)
    *progress, pulled = real_machine.events("pull", "mine")
    assert progress[-1]["event"] == "progress"
    assert progress[-1]["bytes_done"] == progress[-1]["bytes_total"] == len(WEIGHTS)
    assert pulled["event"] == "pulled"
    assert Path(pulled["path"]).read_bytes() == WEIGHTS
    assert pulled["serve"].endswith("serve --model mine:1:Q8_0")
    assert (pulled["hub"], pulled["repository"], pulled["commit"]) == (
        "huggingface",
        "me/mine",
        COMMIT,
    )
    assert not any("Q4_0" in one.path for one in hub.requests)
    hub.requests.clear()
    assert real_machine.events("pull", "mine:1:Q8_0") == [pulled | {"name": "mine:1:Q8_0"}]
    assert hub.requests == []


def test_a_person_sees_a_bar_the_path_and_the_command(machine: Machine, hub: LocalHub) -> None:
    hub.add("me/mine", FILES)
    hub.pause = 0.01
    seen = machine.on_terminal("pull", "mine")
    assert "━" in seen
    assert "2.5 MB" in seen
    assert "mine.Q8_0.gguf\r\n" in seen
    assert "Serve it: " in seen
    assert "{" not in seen


def test_another_format_and_another_hub_can_be_asked_for(machine: Machine, hub: LocalHub) -> None:
    hub.add("me/folder", FOLDER)
    hub.add("me/mine-too", FILES)
    folder = machine.last("pull", "mine", "--model-format", "pytorch")
    assert sorted(one.name for one in Path(folder["path"]).iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    assert folder["serve"].endswith(
        "launch --model-name mine --size-in-billions 1 --model-format pytorch --quantization none"
    )
    assert machine.last("pull", "mine", "--hub", "modelscope")["repository"] == "me/mine-too"


def test_a_repository_is_pulled_by_pattern_and_revision(machine: Machine, hub: LocalHub) -> None:
    hub.add("you/yours", FILES)
    arguments = ("pull", "you/yours", "--file", "*Q4*", "--file", "README.md", "--revision", "main")
    pulled = machine.last(*arguments)
    folder = Path(pulled["path"])
    folder = folder if folder.is_dir() else folder.parent
    assert sorted(one.name for one in folder.iterdir()) == ["README.md", "mine.Q4_0.gguf"]
    assert pulled["serve"].endswith(f"serve --model {pulled['path']}")


def test_ctrl_c_keeps_what_was_fetched_and_the_next_pull_goes_on(
    machine: Machine, hub: LocalHub
) -> None:
    hub.add("me/mine", FILES)
    hub.fail("/cdn/", stall_at=2_000_000)
    pulling = machine.start("pull", "mine")
    assert pulling.stdout is not None
    while json.loads(pulling.stdout.readline())["bytes_done"] == 0:
        pass
    pulling.send_signal(signal.SIGINT)
    out, err = pulling.communicate(timeout=30)
    assert pulling.returncode == 130, out + err
    assert "the same command goes on from there" in out.splitlines()[-1]
    assert err == ""
    assert machine.run("cached")[0].startswith("Nothing was pulled")

    hub.requests.clear()
    assert Path(machine.last("pull", "mine")["path"]).read_bytes() == WEIGHTS
    assert [one.range for one in hub.downloads()] != [None]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("mien",), "There is no model called 'mien'. Did you mean mine?"),
        (("mine:2",), "There is no size of mine called '2'"),
        (("mine:1:Q9",), "There is no quantization of mine 1 ggufv2 called 'Q9'"),
        (("mine", "--model-format", "awq"), "There is no format of mine 1 called 'awq'"),
        (("mine:1:none", "--model-format", "pytorch", "--hub", "modelscope"), "huggingface"),
        (("mine", "--file", "*"), "--file and --revision go with a repository"),
        (("me/mine", "--model-format", "awq"), "--model-format goes with a SPEC"),
        (("./mine",), "'./mine' is neither NAME[:SIZE][:QUANTIZATION] nor a repository"),
        (("mine.gguf",), "mine.gguf is a path"),
    ],
)
def test_a_wrong_command_is_told_so_in_a_line(
    machine: Machine, arguments: tuple[str, ...], reason: str
) -> None:
    assert reason in machine.refusal("pull", *arguments, code=2)


def test_a_pull_that_fails_says_why_to_people_and_programs(machine: Machine, hub: LocalHub) -> None:
    hub.add("me/mine", {}).refusal = (403, {"X-Error-Code": "GatedRepo"})
    process = machine.start("pull", "me/mine", "--file", "x.gguf")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert '"event": "failed"' in out.splitlines()[-1]
    assert len(err.splitlines()) == 1
    assert "me/mine" in err


def test_offline_nothing_is_asked_of_a_hub(
    machine: Machine, other_machine: Machine, hub: LocalHub
) -> None:
    other_machine.learn()
    failed = other_machine.last("pull", "mine", code=1)
    assert failed["code"] == "offline"
    assert hub.requests == []
