import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from codeserve.app.cli.main import build_cli


def models(*arguments: str) -> Result:
    return CliRunner().invoke(build_cli(), ["models", *arguments])


def test_the_families_are_listed() -> None:
    result = models()
    assert result.exit_code == 0
    for family in ("deepseek-coder", "deepseek-coder-instruct", "smollm2-instruct"):
        assert f"\n{family} " in result.output


def test_the_list_is_json_if_asked_for() -> None:
    families = {family["model_name"]: family for family in json.loads(models("--json").output)}
    assert families["deepseek-coder"]["sizes"] == ["1_3", "6_7", "7", "33"]
    assert families["deepseek-coder-instruct"]["formats"] == ["pytorch", "ggufv2", "gptq", "awq"]


def test_a_family_is_shown_with_its_specs_and_the_memory_that_they_need() -> None:
    result = models("show", "deepseek-coder-instruct")
    assert result.exit_code == 0
    assert "GGUF quantization" in result.output
    assert "RAM (GB)" in result.output
    assert "Q4_K_M*," in result.output
    assert "* is the default." in result.output


def test_a_family_is_json_if_asked_for() -> None:
    family = json.loads(models("show", "deepseek-coder-instruct", "--json").output)
    assert len(family["specs"]) == 14
    (gguf,) = (
        spec for spec in family["specs"] if (spec["size"], spec["format"]) == ("33", "ggufv2")
    )
    assert gguf["engines"] == ["llama.cpp"]
    (file,) = (file for file in gguf["files"] if file["quantization"] == "Q4_K_M")
    assert file["exact"]
    assert file["ram_gb"] > file["file_gb"] > 19


def test_an_unknown_family_is_a_usage_error_that_names_near_ones() -> None:
    result = models("show", "deepseek-codr")
    assert result.exit_code == 2
    assert result.stderr.startswith("codeserve: There is no model called 'deepseek-codr'. Did you")


def test_a_broken_folder_of_families_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODESERVE_FAMILIES", str(tmp_path / "none"))
    result = models()
    assert result.exit_code == 2
    assert "none: not a folder of family files" in result.stderr
