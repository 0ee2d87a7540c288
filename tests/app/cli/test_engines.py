"""``codeserve engines`` as users run it, with tiny wheels in the place of the real packages."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from codeserve.app.environments.environment import MARKER, Environment, State
from tests.app.environments.wheelhouse import cpu_build, make_wheel, make_wheels

COMMAND = Path(sys.executable).with_name("codeserve")
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel for each pin of Transformers."""
    return make_wheels(tmp_path_factory.mktemp("wheels") / "all", cpu_build("transformers"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "engines"


def variables_for(folder: Path) -> dict[str, str]:
    """Environment variables without a GPU and without pip's configuration of this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return {
        **kept,
        "CODESERVE_ENGINES": str(folder),
        "CUDA_VISIBLE_DEVICES": "",
        "PIP_CONFIG_FILE": os.devnull,
        "COLUMNS": "200",
    }


@pytest.fixture
def variables(folder: Path) -> dict[str, str]:
    return variables_for(folder)


@pytest.fixture
def run(variables: dict[str, str]) -> Run:
    """Run ``codeserve engines``."""

    def command(*arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [COMMAND, "engines", *map(str, arguments)],
            capture_output=True,
            text=True,
            env=variables,
        )

    return command


def offline(wheels: Path) -> tuple[str, ...]:
    """pip's arguments: this folder and nothing else."""
    return ("--", "--no-index", "--find-links", str(wheels))


def listed(run: Run, engine: str) -> dict[str, Any]:
    reports = json.loads(run("list", "--json").stdout)
    return next(one for one in reports if one["engine"] == engine)


def environment(folder: Path) -> Environment:
    return Environment(folder, "transformers")


@dataclass(frozen=True)
class Installation:
    """Transformers, installed where an installation had been interrupted."""

    folder: Path
    state_before: State
    done: "subprocess.CompletedProcess[str]"


@pytest.fixture(scope="session")
def installation(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("engines")
    variables = variables_for(folder)
    command = [str(COMMAND), "engines", "install", "transformers", "--json", *offline(wheels)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=variables, start_new_session=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line).get("phase") == "collecting":
                break
        os.killpg(process.pid, signal.SIGKILL)
    state = environment(folder).state
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return Installation(folder, state, done)


@pytest.fixture
def installed(installation: Installation) -> Path:
    """The folder of engines of that installation; tests leave it as it is."""
    return installation.folder


def test_an_interrupted_installation_does_not_count_and_is_done_anew(
    installation: Installation,
) -> None:
    assert installation.state_before is State.INCOMPLETE
    assert environment(installation.folder).state is State.READY


def test_steps_and_result_are_lines_of_json(installation: Installation) -> None:
    events = [json.loads(line) for line in installation.done.stdout.splitlines()]
    assert (events[0]["event"], events[-1]["event"]) == ("start", "installed")
    assert events[0]["disk_bytes"] < events[0]["free_bytes"]
    phases = [event["phase"] for event in events[1:-1]]
    assert list(dict.fromkeys(phases)) == ["creating", "collecting", "installing", "checking"]
    collected = [event for event in events[1:-1] if event["phase"] == "collecting"]
    assert collected[-1]["total"] == len(cpu_build("transformers").pins)
    assert events[-1]["version"] == "5.19.0"


def test_an_installed_engine_has_all_its_pins_and_is_listed(
    installed: Path, run: Run, variables: dict[str, str]
) -> None:
    variables["CODESERVE_ENGINES"] = str(installed)
    report = listed(run, "transformers")
    packages = environment(installed).packages
    assert (report["state"], report["build"], report["device"]) == ("installed", "cpu", "cpu")
    assert report["location"] == str(installed / "transformers")
    assert report["findings"] == []
    for pin in cpu_build("transformers").pins:
        name, _, version = pin.partition("==")
        assert packages.version(name) == version
    assert str(installed / "transformers") in run("list").stdout


def test_an_engine_that_is_installed_already_is_left_alone(
    installed: Path, run: Run, variables: dict[str, str]
) -> None:
    variables["CODESERVE_ENGINES"] = str(installed)
    before = environment(installed).marker
    done = run("install", "transformers")
    assert (done.returncode, environment(installed).marker) == (0, before)
    assert "is installed already" in done.stdout


def test_an_environment_with_other_pins_is_outdated_and_used(
    installed: Path, run: Run, variables: dict[str, str]
) -> None:
    variables["CODESERVE_ENGINES"] = str(installed)
    marker = installed / "transformers" / MARKER
    whole = marker.read_text()
    marker.write_text(whole.replace(cpu_build("transformers").fingerprint, "0" * 64))
    try:
        report = listed(run, "transformers")
    finally:
        marker.write_text(whole)
    assert report["state"] == "outdated"
    assert report["version"] is not None
    assert "codeserve engines install transformers" in report["findings"][0]["remedy"]


def test_an_environment_that_has_lost_a_package_is_incomplete(
    installed: Path, run: Run, variables: dict[str, str]
) -> None:
    variables["CODESERVE_ENGINES"] = str(installed)
    [package] = (installed / "transformers").glob("lib/python3*/site-packages/accelerate")
    hidden = package.rename(package.with_name("hidden"))
    try:
        assert listed(run, "transformers")["state"] == "incomplete"
    finally:
        hidden.rename(package)
    assert environment(installed).state is State.READY


def test_an_environment_in_use_is_not_removed(
    installed: Path, run: Run, variables: dict[str, str]
) -> None:
    variables["CODESERVE_ENGINES"] = str(installed)
    python = environment(installed).python
    with subprocess.Popen([python, "-c", "input()"], stdin=subprocess.PIPE) as user:
        done = run("remove", "transformers", "--yes")
        assert user.stdin is not None
        user.stdin.write(b"\n")
    assert done.returncode == 1
    assert f"in use by the process {user.pid}" in done.stderr
    assert environment(installed).state is State.READY


def test_a_removed_engine_is_gone(installed: Path, run: Run, folder: Path) -> None:
    shutil.copytree(installed, folder, symlinks=True)
    assert listed(run, "transformers")["state"] == "installed"

    assert run("remove", "transformers", "--yes").returncode == 0

    assert listed(run, "transformers")["state"] == "not installed"
    assert not any(folder.iterdir())


def test_a_failing_pip_shows_its_last_lines_and_leaves_nothing_that_counts(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    done = run("install", "transformers", *offline(tmp_path / "empty"))
    assert done.returncode == 1
    assert "ERROR: No matching distribution found for accelerate" in done.stderr
    assert "codeserve: pip failed. The package index that pip uses lacks" in done.stderr
    assert listed(run, "transformers")["state"] == "incomplete"


def test_packages_that_cannot_be_imported_do_not_count_as_installed(
    run: Run, wheels: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "wheels"
    copy.mkdir()
    for wheel in wheels.iterdir():
        (copy / wheel.name).symlink_to(wheel)
    (copy / "torch-2.13.0-py3-none-any.whl").unlink()
    make_wheel(
        copy,
        "torch",
        "2.13.0",
        {
            "torch/__init__.py": "raise ImportError('libcudart.so is missing')",
            "torch/version.py": "cuda = '13.0'\n",
        },
    )
    done = run("install", "transformers", "--json", *offline(copy))
    failure = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, failure["event"]) == (1, "failed")
    assert "PyTorch's build for CUDA" in failure["message"]
    assert failure["lines"][-1] == "ImportError: libcudart.so is missing"
    assert listed(run, "transformers")["state"] == "incomplete"


def test_two_commands_do_not_change_one_environment_at_once(
    run: Run, wheels: Path, folder: Path
) -> None:
    folder.mkdir()
    with (folder / ".transformers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run("install", "transformers", *offline(wheels))
    assert done.returncode == 1
    assert "Another command is installing or removing transformers." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["install", "llama.cpp"], "llama.cpp comes with the server"),
        (["install", "fake"], "There is no engine 'fake' to install; there are vllm or transf"),
        (["install", "vllm", "--build", "rocm"], "--build is cpu or cuda, but 'rocm' was given."),
        (["remove", "vllm", "--yes"], "vllm has no environment at "),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(run: Run, arguments: list[str], reason: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"codeserve: {reason}")


def test_an_interpreter_that_is_none_is_refused(run: Run, folder: Path) -> None:
    done = run("install", "vllm", "--python", "/nowhere/python")
    assert done.returncode == 1
    assert "There is no Python interpreter at /nowhere/python." in done.stderr
    assert listed(run, "vllm")["state"] == "not installed"


def test_removing_asks_first(variables: dict[str, str], folder: Path) -> None:
    (folder / "vllm").mkdir(parents=True)
    done = subprocess.run(
        [COMMAND, "engines", "remove", "vllm"],
        input="n\n",
        text=True,
        capture_output=True,
        env=variables,
    )
    assert done.returncode == 1
    assert (folder / "vllm").exists()
