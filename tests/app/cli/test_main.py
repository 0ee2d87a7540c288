import subprocess
import sys
from importlib.metadata import version

from typer.testing import CliRunner

from codeserve.app.cli.main import build_cli


def test_the_version_is_the_distributions() -> None:
    result = CliRunner().invoke(build_cli(), ["--version"])
    assert (result.exit_code, result.output) == (0, f"codeserve {version('codeserve')}\n")


def test_help_lists_the_commands() -> None:
    result = CliRunner().invoke(build_cli(), ["--help"])
    assert result.exit_code == 0
    names = ("serve", "chat", "complete", "models", "launch", "list", "ps", "terminate", "events")
    assert all(f"│ {name} " in result.output for name in names)
    assert "--install-completion" in result.output


def test_an_unknown_command_is_a_usage_error() -> None:
    assert CliRunner().invoke(build_cli(), ["sevre"]).exit_code == 2


def test_the_command_starts_without_the_server_and_its_libraries() -> None:
    check = (
        "import sys, codeserve.app.cli.main as main; main.build_cli();"
        "print(sorted({'fastapi', 'httpx', 'pydantic', 'uvicorn', 'jinja2'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", check], capture_output=True, check=True)
    assert loaded.stdout.decode() == "[]\n"


def test_a_shell_completes_a_launch_with_options_of_the_engine() -> None:
    words = {"COMP_WORDS": "codeserve launch --n_threads --quant", "COMP_CWORD": "3"}
    environment = {**words, "_CODESERVE_COMPLETE": "complete_bash"}
    result = CliRunner().invoke(build_cli(), env=environment, prog_name="codeserve")
    assert result.stdout.split() == ["--quantization"]
