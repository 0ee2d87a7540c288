import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeserve.engines import registry
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.types import EngineConfig

METADATA = "Metadata-Version: 2.1\nName: someones-engine\nVersion: 1\n"


def config(engine: str, **options: object) -> EngineConfig:
    return EngineConfig(engine=engine, path="", options=options)


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An installed distribution that announces an engine."""
    folder = tmp_path / "someones_engine-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(METADATA)
    (folder / "entry_points.txt").write_text("[codeserve.engines]\nmine = someones_engine\n")
    (tmp_path / "someones_engine.py").write_text(
        "from codeserve.engines import fake\ndef create(config): return fake.create(config)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "mine"
    sys.modules.pop("someones_engine", None)


def test_the_built_in_engines_have_names() -> None:
    assert {"fake", "llama.cpp"} <= set(registry.names())


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelLoadError) as caught:
        registry.create(config("llama"))
    assert "no engine 'llama'. Engines here: llama.cpp," in caught.value.message
    assert "fake" not in caught.value.message


@pytest.mark.parametrize("name", ["vllm", "transformers"])
def test_an_engine_whose_packages_are_missing_is_refused_with_the_command(name: str) -> None:
    with pytest.raises(ModelLoadError, match=f"codeserve engines install {name}"):
        registry.create(config(name))


def test_an_engine_of_another_package_is_found_by_its_entry_point(third_party: str) -> None:
    assert third_party in registry.names()
    assert not registry.create(config(third_party)).healthy


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in [name for name in sys.modules if name.startswith("codeserve.engines.llama_cpp.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(ModelLoadError, match=r"pip install 'codeserve\[llama-cpp\]'"):
        registry.create(config("llama.cpp"))


def test_an_unknown_option_of_the_fake_engine_is_refused() -> None:
    with pytest.raises(ModelLoadError, match="unknown field `scirpt`"):
        registry.create(config("fake", scirpt="x"))


@pytest.mark.parametrize("name", ["vllm", "nonsense"])
def test_an_engine_that_is_not_there_is_no_error_before_it_is_created(name: str) -> None:
    registry.preload(name)
