"""``codeserve doctor`` on hubs, folders, what was pulled and where each setting came from."""

import json
import random
from pathlib import Path

from tests.app.cli.machine import Machine
from tests.app.cli.machine import hub as hub
from tests.app.cli.machine import machine as machine
from tests.app.cli.machine import other_machine as other_machine
from tests.app.cli.machine import real_machine as real_machine
from tests.model_specs.hub.local_hub import LocalHub


def test_hubs_that_answer_and_weights_that_are_here_are_shown(
    real_machine: Machine, hub: LocalHub
) -> None:
    hub.add("me/mine", {"mine.Q8_0.gguf": random.Random(1).randbytes(100_000)})
    pulled = real_machine.last("pull", "mine")
    real_machine.environment["HF_TOKEN"] = "hf_secret"
    out, _ = real_machine.run("doctor", "--json")
    report = json.loads(out)
    assert [(one["name"], one["reachable"], one["token"]) for one in report["hubs"]] == [
        ("Hugging Face", True, True),
        ("ModelScope", True, False),
    ]
    assert {one["endpoint"] for one in report["hubs"]} == {hub.url}
    assert "hf_secret" not in out
    assert report["pulled"][0]["name"] == "mine:1:Q8_0"
    folders = {one["what"]: one for one in report["folders"]}
    assert folders["store"]["path"] == str(real_machine.store)
    assert folders["Hugging Face's cache"]["free_bytes"] > 0
    assert not any("cannot be reached" in one["what"] for one in report["findings"])

    Path(pulled["path"]).resolve().write_bytes(b"short")
    out, _ = real_machine.run("doctor")
    assert "mine:1:Q8_0 has changed since it was pulled" in out
    assert "reachable; a token is set" in out
    assert "hf_secret" not in out


def test_a_hub_that_cannot_be_reached_is_advice(other_machine: Machine) -> None:
    other_machine.real = True
    other_machine.environment["CODESERVE_OFFLINE"] = "0"
    other_machine.environment["HF_ENDPOINT"] = "http://me:secret@127.0.0.1:9"
    out, _ = other_machine.run("doctor", "--json")
    advice = [one for one in json.loads(out)["findings"] if "cannot be reached" in one["what"]]
    assert [one["broken"] for one in advice] == [False, False]
    assert "HF_ENDPOINT" in advice[0]["remedy"]
    assert "MODELSCOPE_ENDPOINT" in advice[1]["remedy"]
    assert "secret" not in out


def test_offline_no_hub_is_asked(real_machine: Machine, hub: LocalHub) -> None:
    real_machine.environment["HF_HUB_OFFLINE"] = "1"
    report = json.loads(real_machine.run("doctor", "--json")[0])
    assert report["offline"]
    assert [one["detail"] for one in report["hubs"]] == ["not asked: offline"] * 2
    assert hub.requests == []
