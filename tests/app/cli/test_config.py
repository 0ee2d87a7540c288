"""``codeserve config validate``: what serving the file would complain about, without serving it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from codeserve.app.cli.main import build_cli

FAKE = '[[models]]\nid = "fast"\npath = "/dev/null"\nengine = "fake"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "codeserve.toml"


def validate(config: Path, text: str) -> Result:
    config.write_text(text)
    return CliRunner().invoke(build_cli(), ["config", "validate", str(config)])


def test_a_valid_file_is_told_with_its_models(config: Path) -> None:
    result = validate(config, FAKE)
    assert (result.exit_code, result.stdout) == (0, f"{config} is valid: it serves fast\n")


def test_a_file_may_have_no_models(config: Path) -> None:
    assert validate(config, "models = []").stdout == f"{config} is valid: it serves no model\n"


def test_an_unknown_key_is_an_error(config: Path) -> None:
    result = validate(config, "[server]\nprot = 1")
    assert result.exit_code == 2
    assert "unknown key 'prot'. Did you mean 'port'?" in result.stderr


def test_each_model_that_cannot_be_chosen_is_named(config: Path) -> None:
    unknown = '[[models]]\nmodel_name = "{}"\nsize_in_billions = "1_3"\n'
    text = FAKE + unknown.format("deepseek-codr") + unknown.format("deepseek-coder")
    result = validate(config, text + 'id = "b"\nquantization = "Q9"\n')
    assert result.exit_code == 2
    first, second = result.stderr.splitlines()
    assert first.startswith(f"codeserve: {config}: deepseek-codr: ")
    assert "Did you mean deepseek-coder" in first
    assert second.startswith(f"{config}: b: ")
