"""How a command ends when it cannot do what was asked."""

from typing import NoReturn

import typer

RUNTIME_ERROR = 1
USAGE_ERROR = 2
INTERRUPTED = 130
"""After Ctrl-C."""


def fail(message: str, code: int = RUNTIME_ERROR) -> NoReturn:
    """Say why on stderr and exit with ``code``."""
    typer.echo(f"codeserve: {message}", err=True)
    raise typer.Exit(code)
