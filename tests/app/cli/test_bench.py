import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from codeserve.app.cli.main import build_cli


def bench(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(build_cli(), ["bench", "--url", url, *arguments])


def test_a_result_is_json_on_stdout(server: Any) -> None:
    result = bench(server.url, "single", "--json", "-", "--seed", "7")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["model"], found["seed"]) == ("fast", 7)
    (single,) = found["scenarios"]
    assert (single["name"], single["completed"]) == ("single", 1)
    assert single["medians"]["output_tokens"] == 64


def test_a_result_is_a_table_and_files(server: Any, tmp_path: Path) -> None:
    file, plots = tmp_path / "result.json", tmp_path / "new" / "plots"
    options = ("--concurrency", "1,2", "--json", str(file), "--plots", str(plots))
    result = bench(server.url, "concurrency", "single", *options)
    assert result.exit_code == 0, result.stderr
    for text in ("TTFT", "concurrency-1", "concurrency-2", "1 of 1", "2 of 2", "tok/s"):
        assert text in result.stdout
    assert len(json.loads(file.read_text())["scenarios"]) == 3
    assert all(path.suffix == ".png" for path in plots.iterdir())
    assert str(plots / "concurrency.png") in result.stderr


def test_without_a_seed_each_run_has_its_own(server: Any) -> None:
    runs = [bench(server.url, "single", "--json", "-").stdout for _ in range(2)]
    assert len({json.loads(run)["seed"] for run in runs}) == 2


def test_failed_requests_end_it_with_their_reason(server: Any) -> None:
    result = bench(server.url, "keystroke", "single", "--model", "broken")
    assert result.exit_code == 1
    assert "a tensor is missing" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sinlge",), "no workload is called 'sinlge'; there are single, concurrency, keystroke"),
        (("--concurrency", "1,x"), "--concurrency takes numbers from 1, such as 1,4,8, not '1,x'"),
        (("--concurrency", "0"), "--concurrency takes numbers from 1"),
        (("--json", "/dev/null/x"), "/dev/null/x: Not a directory"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    server: Any, arguments: tuple[str, ...], message: str
) -> None:
    result = bench(server.url, *arguments)
    assert result.exit_code in (1, 2)
    assert result.stderr.startswith(f"codeserve: {message}")
    assert result.stderr.count("\n") == 1


def test_plots_without_matplotlib_name_the_extra(
    server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("codeserve.app.bench.plots.available", lambda: False)
    result = bench(server.url, "--plots", str(tmp_path))
    assert result.exit_code == 2
    assert result.stderr == "codeserve: --plots needs matplotlib: pip install 'codeserve[bench]'\n"


def test_no_server_is_one_line() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = bench(f"http://127.0.0.1:{unused.getsockname()[1]}", "single")
    assert result.exit_code == 1
    assert re.fullmatch(r"codeserve: no server answers at http://\S+ \(.+\)\n", result.stderr)


@pytest.mark.parametrize("url", ["localhost:1", "http://host:port"])
def test_an_address_that_is_none_is_one_line(url: str) -> None:
    result = bench(url, "single")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"codeserve: {url}: ")
    assert result.stderr.count("\n") == 1
