"""Keys in a container: mounted, and asked for where other machines can reach it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from openai import AuthenticationError

from tests.docker.build import image
from tests.docker.conftest import Start
from tests.docker.container import LOCKED_DOWN
from tests.docker.store import Store

TARGET = "llama-cpp-cpu"
MODEL = "smollm2-135m-instruct"
USER = 10001


def test_a_mounted_key_opens_the_server_and_no_other_does(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    file = folder / "keys.toml"
    command = [str(Path(sys.executable).parent / "codeserve"), "keys", "create", "editor"]
    made = subprocess.run(
        [*command, "--keys", str(file)], capture_output=True, text=True, check=True
    )
    os.chown(file, USER, USER)
    folder.chmod(0o755)
    container = start(
        TARGET,
        *("serve", "--keys", "/etc/codeserve/keys/keys.toml"),
        mounts={folder: "/etc/codeserve/keys"},
    )
    container.wait_until_ready()

    answer = container.client(made.stdout.strip()).completions.create(
        model=MODEL, prompt="def", max_tokens=2
    )
    assert answer.choices
    with pytest.raises(AuthenticationError):
        container.client("wrong").completions.create(model=MODEL, prompt="def", max_tokens=2)


def test_without_keys_it_does_not_open_its_port_to_others(store: Store) -> None:
    done = subprocess.run(
        ["podman", "run", "--rm", "--network", "none", *LOCKED_DOWN, image(TARGET)],
        env=store.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 2
    assert "--insecure" in done.stderr
