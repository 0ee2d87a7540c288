import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner, Result

from codeserve.app.cli.main import build_cli
from tests.eventually import eventually

FAKE = '[[models]]\nid = "fast"\npath = "/dev/null"\nengine = "fake"\n'


def run_serve(*arguments: object) -> Result:
    return CliRunner().invoke(build_cli(), ["serve", *map(str, arguments)])


def test_a_port_in_use_is_one_line_and_exit_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run_serve("--port", port)
    assert result.exit_code == 1
    expected = f"codeserve: port {port} on 127.0.0.1 is in use; choose another with --port\n"
    assert result.stderr == expected


def test_an_address_of_another_machine_is_one_line_and_exit_code_1() -> None:
    result = run_serve("--host", "192.0.2.1", "--port", 0, "--insecure")
    assert result.exit_code == 1
    assert result.stderr.startswith("codeserve: cannot listen on 192.0.2.1 port 0: ")


def test_an_address_for_others_without_keys_is_a_usage_error() -> None:
    result = run_serve("--host", "0.0.0.0", "--port", 0)
    assert result.exit_code == 2
    assert "no API keys are asked for" in result.stderr
    assert "--insecure" in result.stderr


def test_a_missing_config_file_is_a_usage_error(tmp_path: Path) -> None:
    result = run_serve("--config", tmp_path / "none.toml")
    assert result.exit_code == 2
    assert result.stderr == f"codeserve: {tmp_path}/none.toml: No such file or directory\n"


def test_an_unknown_key_is_a_usage_error(tmp_path: Path) -> None:
    config = tmp_path / "codeserve.toml"
    config.write_text("[server]\nprot = 9000")
    result = run_serve("--config", config)
    assert result.exit_code == 2
    assert "unknown key 'prot'. Did you mean 'port'?" in result.stderr


def test_a_malformed_reference_is_a_usage_error() -> None:
    result = run_serve("--model", "a:1_3:b:c")
    assert result.exit_code == 2
    assert "write NAME[:SIZE][:QUANTIZATION]" in result.stderr


def test_the_same_model_twice_is_a_usage_error() -> None:
    result = run_serve("--model", "a.gguf", "--model", "b/a.gguf")
    assert result.exit_code == 2
    assert "two models are called 'a'" in result.stderr


def test_an_unknown_model_is_a_usage_error_that_names_near_ones(
    serve: Callable[..., Any],
) -> None:
    running = serve("", "--model", "deepseek-codr:1_3")
    assert running.exit_code() == 2
    assert "Did you mean deepseek-coder" in running.err


def test_missing_weights_end_the_server_with_the_cause(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    running = serve("", "--model", str(tmp_path / "none.gguf"))
    assert running.exit_code() == 1
    assert f"codeserve: none failed to load: There are no weights at {tmp_path}" in running.err
    assert "Traceback" not in running.err


def test_the_only_model_that_fails_ends_the_server_with_its_last_lines(
    serve: Callable[..., Any],
) -> None:
    running = serve(f'{FAKE}options = {{ fail_load = "a tensor is missing" }}')
    assert running.exit_code() == 1
    assert "codeserve: fast failed to load: a tensor is missing" in running.err


def test_the_last_lines_show_how_to_ask(serve: Callable[..., Any]) -> None:
    running = serve(FAKE)
    url = running.url()
    lines = running.out.rstrip().splitlines()
    assert f"curl -N {url}/v1/chat/completions \\" in lines
    assert f'client = OpenAI(base_url="{url}/v1", api_key="none")' in lines
    assert lines[-1].endswith("codeserve serve --model deepseek-coder-instruct:1_3")


def is_fake(process: psutil.Process) -> bool:
    """Whether it is a worker of the fake engine."""
    try:
        return {"--socket", "fake"} <= set(process.cmdline())
    except psutil.Error:
        return False


async def test_a_server_that_is_killed_while_a_model_loads_leaves_no_folder(
    serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("t")
    running = serve(f"{FAKE}options = {{ load_seconds = 1000 }}", TMPDIR=str(folder))
    server = psutil.Process(running.process.pid)
    await eventually(lambda: any(map(is_fake, server.children())))
    server.kill()
    running.exit_code()
    await eventually(lambda: not [*folder.iterdir()])


def test_a_model_that_fails_beside_another_does_not_end_the_server(
    serve: Callable[..., Any],
) -> None:
    broken = '[[models]]\nid = "broken"\npath = "/dev/null"\nengine = "fake"\n'
    broken += 'options = { fail_load = "a tensor is missing" }\n'
    running = serve(broken + FAKE)
    running.url()
    assert "with fast\n" in running.out
    assert "a tensor is missing" in running.err


def test_a_damaged_state_ends_the_server_before_it_launches_anything(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    state.write_text("{")
    running = serve(FAKE, CODESERVE_STATE=str(state))
    assert running.exit_code() == 1
    assert f"codeserve: {state}: not a state file of codeserve" in running.err
    assert "Traceback" not in running.err
    assert state.read_text() == "{"


def test_two_servers_do_not_share_a_state(serve: Callable[..., Any], tmp_path: Path) -> None:
    state = str(tmp_path / "state.json")
    first = serve(FAKE, CODESERVE_STATE=state)
    first.url()
    second = serve(FAKE, CODESERVE_STATE=state)
    assert second.exit_code() == 1
    assert f"another server remembers its models here (process {first.process.pid})" in second.err


def test_a_named_state_that_cannot_be_kept_ends_the_server(serve: Callable[..., Any]) -> None:
    running = serve(FAKE, CODESERVE_STATE="/dev/null/none/state.json")
    assert running.exit_code() == 1
    assert "none/state.json: the state cannot be kept here: Not a directory" in running.err


def test_a_default_state_that_cannot_be_kept_is_a_warning(serve: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = serve(FAKE, "--port", str(port), XDG_STATE_HOME="/dev/null")
    running.url()
    assert f"/dev/null/codeserve/{port}.json: the state cannot be kept here" in running.err
    assert "What is launched will not be remembered." in running.err


def test_a_model_on_demand_serves_though_it_is_not_loaded(serve: Callable[..., Any]) -> None:
    running = serve(f'{FAKE}load = "on_demand"\n')
    running.url()
    assert "with fast\n" in running.out
    assert psutil.Process(running.process.pid).children() == [], "no worker waits for nothing"


def test_a_server_may_begin_without_models(serve: Callable[..., Any]) -> None:
    running = serve("models = []\n")
    running.url()
    assert "with no model; see: codeserve launch --help" in running.out


def test_a_remembered_model_keeps_a_server_alive_whose_configured_models_fail(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    entry = {"id": "remembered", "path": "/dev/null", "engine": "fake"}
    state.write_text(json.dumps({"version": 1, "models": [entry]}))
    broken = f'{FAKE}options = {{ fail_load = "a tensor is missing" }}'
    running = serve(broken, CODESERVE_STATE=str(state))
    running.url()
    assert "with remembered\n" in running.out
    assert "a tensor is missing" in running.err


def test_a_server_ends_if_what_it_remembers_fails_as_well(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    entry = {"id": "remembered", "path": str(tmp_path / "none.gguf"), "engine": "fake"}
    state.write_text(json.dumps({"version": 1, "models": [entry]}))
    broken = f'{FAKE}options = {{ fail_load = "a tensor is missing" }}'
    running = serve(broken, CODESERVE_STATE=str(state))
    assert running.exit_code() == 1
    assert "fast failed to load: a tensor is missing" in running.err
    assert "remembered failed to load: There are no weights at" in running.err
    assert json.loads(state.read_text())["models"] == [entry]


def test_a_server_without_configured_models_outlives_what_it_remembers(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    entry = {"id": "remembered", "path": str(tmp_path / "none.gguf"), "engine": "fake"}
    state.write_text(json.dumps({"version": 1, "models": [entry]}))
    running = serve("models = []\n", CODESERVE_STATE=str(state))
    running.url()
    assert "with no model; see: codeserve launch --help" in running.out
    assert "There are no weights at" in running.err
