from typing import Any

from typer.testing import CliRunner, Result

from codeserve.app.cli.main import build_cli


def complete(server: Any, *arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(
        build_cli(), ["complete", "--url", server.url, *arguments], input=stdin
    )


def test_a_prompt_goes_on_with_the_first_model(server: Any, script: str) -> None:
    result = complete(server, "def f():", "--max-tokens", "7")
    assert (result.exit_code, result.output) == (0, "Grüße")
    assert script.startswith(result.output)


def test_a_prompt_may_come_from_stdin(server: Any) -> None:
    result = complete(server, "--model", "short", stdin="a" * 40)
    assert result.exit_code == 1
    assert "maximum context length is 32 tokens" in result.stderr


def test_a_suffix_needs_a_model_that_fills(server: Any) -> None:
    result = complete(server, "a", "--suffix", "b")
    assert result.exit_code == 1
    assert result.stderr.startswith("codeserve: ")
    assert "suffix" in result.stderr


def test_an_unknown_model_is_one_line(server: Any) -> None:
    result = complete(server, "a", "--model", "none")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "does not exist" in result.stderr
