"""``codeserve diff`` and ``apply`` before they have asked a server anything."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from codeserve.app.cli.main import build_cli

NOBODY = "http://127.0.0.1:1"
FAKE = '[[models]]\nid = "fast"\npath = "/dev/null"\nengine = "fake"\n'


def run(command: str, file: Path) -> Result:
    return CliRunner().invoke(build_cli(), [command, "-f", str(file), "--endpoint", NOBODY])


@pytest.mark.parametrize("command", ["diff", "apply"])
@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "there are no [[models]]; write models = [] for none"),
        ("[server]\nport = 8000\n", "there are no [[models]]; write models = [] for none"),
        ("[[models]]\nidd = 1\n", "unknown key 'idd'. Did you mean 'id'?"),
        ("[[models]\n", "not valid TOML"),
    ],
)
def test_a_file_that_makes_no_sense_is_a_usage_error(
    tmp_path: Path, command: str, config: str, message: str
) -> None:
    file = tmp_path / "wanted.toml"
    file.write_text(config)
    result = run(command, file)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"codeserve: {file}: ")
    assert message in result.stderr


@pytest.mark.parametrize(("command", "exit_code"), [("diff", 2), ("apply", 1)])
def test_a_server_that_does_not_answer_is_no_difference(
    tmp_path: Path, command: str, exit_code: int
) -> None:
    file = tmp_path / "wanted.toml"
    file.write_text(FAKE)
    result = run(command, file)
    assert result.exit_code == exit_code
    assert f"no server answers at {NOBODY}" in result.stderr
