import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.app.bench.source import SourceWriter


@given(st.text(), st.integers(1, 500))
def test_a_file_has_the_length_that_is_asked_for(seed: str, tokens: int) -> None:
    assert len(SourceWriter(seed, 4.0).file(tokens)) == 4 * tokens


@given(st.text())
def test_the_same_seed_writes_the_same(seed: str) -> None:
    one, other = SourceWriter(seed), SourceWriter(seed)
    assert [one.file(100), one.fragment(20)] == [other.file(100), other.fragment(20)]


def test_no_two_files_begin_alike() -> None:
    writers = [SourceWriter(f"1 single {number}") for number in range(10)]
    titles = {writer.file(64).splitlines()[0] for writer in writers for _ in range(10)}
    assert len(titles) == 100


@pytest.mark.parametrize("seed", range(20))
def test_a_varied_file_is_python_of_different_functions(seed: int) -> None:
    definitions = ast.parse(SourceWriter(str(seed)).varied_file()).body
    names = [
        one.name
        for one in definitions
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    assert len(set(names)) == len(definitions) == 6
