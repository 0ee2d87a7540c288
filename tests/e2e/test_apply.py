"""``codeserve diff`` and ``apply`` against a running server."""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.server import COMMAND, Server

CONFIG = """
[[models]]
id = "{id}"
path = "/dev/null"
engine = "fake"
"""
CODER, OLD, NEW = (CONFIG.format(id=name) for name in ("coder", "old", "new"))


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server(CODER + OLD)


@pytest.fixture
def run(server: Server, tmp_path: Path) -> Any:
    """Runs a command with a config file."""

    def run(command: str, config: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "wanted.toml").write_text(config)
        return subprocess.run(
            [COMMAND, command, "-f", "wanted.toml", "--endpoint", server.url, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def ids(server: Server) -> set[str]:
    return {card["id"] for card in httpx.get(f"{server.url}/v1/models", timeout=60).json()["data"]}


def test_a_server_that_is_as_the_file_says_has_nothing_to_change(run: Any) -> None:
    same = run("diff", CODER + OLD, "--prune")
    assert (same.returncode, same.stderr) == (0, "")
    assert same.stdout == "Nothing to change: the models are as wanted.toml says.\n"


def test_a_difference_is_shown_field_by_field(run: Any, server: Server) -> None:
    changed = CODER + 'context_length = 64\noptions = { script = "abc" }\n'
    shown = run("diff", changed + NEW)
    assert shown.returncode == 1, shown.stderr
    assert shown.stdout.splitlines() == [
        "replace coder",
        "  context_length: default -> 64",
        '  options.script: default -> "abc"',
        "launch new",
        "old is not in wanted.toml and stays; --prune terminates it",
    ]
    assert ids(server) == {"coder", "old"}


def test_applying_launches_replaces_and_prunes_and_then_nothing_is_left(
    run: Any, server: Server
) -> None:
    changed = CODER + 'options = { script = "abc" }\n'
    applied = run("apply", changed + NEW, "--prune")
    assert applied.returncode == 0, applied.stderr
    assert ids(server) == {"coder", "new"}
    body = {"model": "coder", "prompt": "x", "max_tokens": 3}
    answer = httpx.post(f"{server.url}/v1/completions", json=body, timeout=60).json()
    assert answer["choices"][0]["text"] == "abc"
    assert run("diff", changed + NEW, "--prune").returncode == 0


def test_an_equal_model_is_not_disturbed(run: Any, server: Server) -> None:
    workers = {worker.pid for worker in server.workers()}
    assert run("apply", CODER + NEW).returncode == 0
    assert ids(server) == {"coder", "old", "new"}
    assert {worker.pid for worker in server.workers()} > workers


def test_pinning_alone_does_not_start_anything_anew(run: Any, server: Server) -> None:
    workers = {worker.pid for worker in server.workers()}
    pinned = CODER + "pinned = true\n"
    applied = run("apply", pinned)
    assert applied.returncode == 0, applied.stderr
    assert applied.stdout.splitlines()[:2] == ["pin coder", "  pinned: default -> true"]
    assert {worker.pid for worker in server.workers()} == workers
    assert run("diff", pinned).returncode == 0
    assert run("diff", CODER).stdout.startswith("unpin coder\n")


def test_a_dry_run_shows_the_plan_and_changes_nothing(run: Any, server: Server) -> None:
    shown = run("apply", NEW, "--prune", "--dry-run", "--json")
    assert shown.returncode == 0, shown.stderr
    plan = json.loads(shown.stdout)
    assert [(change["id"], change["action"]) for change in plan["changes"]] == [
        ("coder", "terminate"),
        ("old", "terminate"),
        ("new", "launch"),
    ]
    assert ids(server) == {"coder", "old"}


def test_what_cannot_be_replaced_is_put_back_and_holds_up_no_other(
    run: Any, server: Server
) -> None:
    unknown = '[[models]]\nid = "coder"\nmodel_name = "deepseek-codr"\n'
    applied = run("apply", unknown + NEW)
    assert applied.returncode == 1
    assert "Did you mean deepseek-coder" in applied.stderr
    assert "coder is launched as it was before." in applied.stderr
    assert ids(server) == {"coder", "old", "new"}
    assert run("diff", CODER + OLD + NEW).returncode == 0


def test_a_launch_that_fails_is_told_and_the_others_are_made(run: Any, server: Server) -> None:
    failing = NEW + 'options = { fail_load = "a tensor is missing" }\n'
    applied = run("apply", failing + CONFIG.format(id="last"))
    assert applied.returncode == 1
    assert "a tensor is missing" in applied.stderr
    assert server.model("last")["state"] == "ready"
    assert run("diff", failing).stdout.startswith("retry new\n")


def test_what_cannot_be_sent_is_told_before_anything_is_changed(run: Any, server: Server) -> None:
    refused = run("apply", CODER + NEW + 'options = { load = "x" }\n', "--prune")
    assert refused.returncode == 2
    assert "wanted.toml: new: load cannot be sent to a running server" in refused.stderr
    assert ids(server) == {"coder", "old"}
