"""Every row of the compatibility tables names a test that there is."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "compatibility.md"
VERDICTS = {"works", "ignored", "refused"}


def rows() -> Iterator[list[str]]:
    for line in PAGE.read_text().splitlines():
        if line.startswith("|") and not re.match(r"\| (---|Client|Field|Route)", line):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


@cache
def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: row[0])
def test_a_row_has_a_verdict_and_a_test_that_exists(row: list[str]) -> None:
    *_, verdict, proof = row
    assert verdict.split()[0].strip(",;:") in VERDICTS
    named = re.findall(r"`([\w/.]+)::(\w+)`", proof)
    assert named, "no test is named"
    for file, test in named:
        assert test.startswith("test_") or file.endswith(".mjs")
        path = ROOT / "tests" / file
        assert test in (names_in(path) if path.suffix == ".py" else path.read_text())
