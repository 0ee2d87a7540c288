"""How commands print what they found: as JSON, or as a table."""

import json
from collections.abc import Iterable

import typer

UNBROKEN = 1000
"""Columns of what is no terminal: there a row is one line, whatever it holds."""


def print_json(value: object) -> None:
    """Print ``value`` for programs to read."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_json_line(value: object) -> None:
    """Print ``value`` as one line, for programs that read line by line."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print ``rows`` below the names of their ``columns``; the first one is never broken."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    width = None if Console().is_terminal else UNBROKEN
    Console(width=width).print(table)
