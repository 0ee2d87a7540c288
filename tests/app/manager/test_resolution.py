from pathlib import Path
from typing import Any

import pytest

from codeserve.app.environments.engines import Installation
from codeserve.app.manager.resolution import resolve
from codeserve.app.model_settings import ModelSettings
from codeserve.engines.errors import InvalidRequest, ModelLoadError
from codeserve.model_specs.catalog import Catalog


class Machine:
    """A machine without a GPU, and with these engines installed."""

    has_gpu = False
    names = ("fake", "llama.cpp", "transformers", "vllm")

    def __init__(self, *installed: str) -> None:
        self._installed = installed

    def find(self, engine: str) -> Installation | None:
        if engine in self._installed:
            return Installation(engine=engine, python=f"/{engine}/python", build="cpu")
        return None


ENGINES = Machine("fake", "llama.cpp", "transformers", "vllm")


@pytest.mark.parametrize(
    ("model_format", "quantization", "engine"),
    [("ggufv2", "Q4_K_M", "llama.cpp"), ("pytorch", None, "vllm")],
)
def test_a_catalogue_entry_brings_its_variant_and_its_best_engine(
    catalog: Catalog, model_format: str, quantization: str | None, engine: str
) -> None:
    settings = ModelSettings(
        id="coder",
        model_name="deepseek-coder-instruct",
        size_in_billions="6_7",
        model_format=model_format,
        quantization=quantization,
        context_length=2048,
        max_concurrency=7,
        options={"n_threads": 3},
    )
    resolution = resolve(settings, catalog, ENGINES)
    config = resolution.config(Path("/weights"))
    assert resolution.selection is not None
    assert resolution.selection.spec.model_format == model_format
    assert config.engine == engine
    assert config.path == "/weights"
    assert config.variants == (resolution.selection.variant,)
    assert config.variant_required
    assert (config.context_length, config.max_concurrency) == (2048, 7)
    assert config.options == {"n_threads": 3}


def test_an_engine_that_is_not_there_is_passed_over(catalog: Catalog) -> None:
    settings = ModelSettings(
        model_name="deepseek-coder", size_in_billions="1_3", model_format="pytorch"
    )
    assert resolve(settings, catalog, Machine("transformers")).choice.engine == "transformers"


def test_a_path_with_a_family_must_be_of_that_family(catalog: Catalog) -> None:
    settings = ModelSettings(path=Path("/models/mine.gguf"), family="deepseek-coder")
    config = resolve(settings, catalog, ENGINES).config(Path("/models/mine.gguf"))
    assert config.engine == "llama.cpp"
    assert config.variants == catalog.variants("deepseek-coder")
    assert config.variant_required


def test_a_path_without_a_family_may_be_of_any(catalog: Catalog) -> None:
    config = resolve(ModelSettings(path=Path("/models/folder")), catalog, ENGINES).config(
        Path("/models/folder")
    )
    assert config.engine == "vllm"
    assert config.variants == catalog.variants()
    assert not config.variant_required


def test_an_engine_that_the_catalogue_does_not_know_may_load_any_path(catalog: Catalog) -> None:
    settings = ModelSettings(path=Path("/models/mine.gguf"), engine="fake")
    assert resolve(settings, catalog, ENGINES).choice.engine == "fake"


@pytest.mark.parametrize(
    ("settings", "param", "message"),
    [
        ({"model_name": "deepseek-codr"}, "model_name", "Did you mean deepseek-coder"),
        (
            {"model_name": "deepseek-coder", "size_in_billions": "2"},
            "size_in_billions",
            "There are 1_3, .*33",
        ),
        ({"path": Path("/m.gguf"), "family": "deepseek"}, "family", "There are deepseek-coder,"),
        (
            {
                "model_name": "deepseek-coder",
                "size_in_billions": "33",
                "model_format": "ggufv2",
                "engine": "vllm",
            },
            "engine",
            "'vllm' cannot load a GGUF file. Engines that can: llama.cpp",
        ),
        (
            {"path": Path("/m.gguf"), "engine": "vllm"},
            "engine",
            "'vllm' cannot load a GGUF file. Engines that can: llama.cpp",
        ),
        (
            {"path": Path("/folder"), "engine": "llama.cpp"},
            "engine",
            "cannot load unquantised weights. Engines that can: vllm, transformers",
        ),
        (
            {"path": Path("/m.gguf"), "engine": "llama"},
            "engine",
            "There are: llama.cpp, transformers, vllm",
        ),
    ],
)
def test_settings_that_cannot_work_say_what_can(
    catalog: Catalog, settings: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message) as error:
        resolve(ModelSettings(id="x", **settings), catalog, ENGINES)
    assert error.value.param == param


def test_weights_that_no_engine_here_can_load_say_which_could(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequest, match="codeserve engines install vllm; transformers: "):
        resolve(ModelSettings(path=Path("/folder")), catalog, Machine("llama.cpp"))


@pytest.mark.parametrize(
    ("quantization", "engine", "model_format", "loading"),
    [
        (None, "vllm", "pytorch", None),
        ("4-bit", "transformers", "pytorch", "4-bit"),
        ("Int4", "vllm", "gptq", None),
        (None, "llama.cpp", "ggufv2", None),
    ],
)
def test_an_engine_that_is_asked_for_without_a_format_gets_one_that_it_loads(
    catalog: Catalog, quantization: str | None, engine: str, model_format: str, loading: str | None
) -> None:
    settings = ModelSettings(
        model_name="deepseek-coder",
        size_in_billions="1_3",
        quantization=quantization,
        engine=engine,
    )
    resolution = resolve(settings, catalog, ENGINES)
    assert resolution.selection is not None
    assert resolution.selection.spec.model_format == model_format
    assert resolution.config(Path("/weights")).quantization == loading
    assert resolution.choice.python == f"/{engine}/python"


def test_a_folder_that_is_quantised_already_is_not_quantised_again(
    catalog: Catalog, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"quantization_config": {"quant_method": "awq"}}')
    settings = ModelSettings(path=tmp_path, quantization="8-bit")
    with pytest.raises(InvalidRequest, match=r"quantised already \(awq\)"):
        resolve(settings, catalog, ENGINES)


def test_a_folder_is_quantised_while_it_is_loaded(catalog: Catalog, tmp_path: Path) -> None:
    resolution = resolve(ModelSettings(path=tmp_path, quantization="8-bit"), catalog, ENGINES)
    assert resolution.config(tmp_path).quantization == "8-bit"
    assert resolution.choice.engine == "transformers"


def test_the_users_own_interpreter_needs_no_installed_engine(
    catalog: Catalog, tmp_path: Path
) -> None:
    settings = ModelSettings(path=tmp_path, engine="vllm", engine_python=Path("/own/python"))
    assert resolve(settings, catalog, Machine()).choice.python == "/own/python"


def test_weights_that_are_not_there_are_missed(catalog: Catalog, tmp_path: Path) -> None:
    settings = ModelSettings(path=tmp_path / "mine.gguf")
    with pytest.raises(ModelLoadError, match=r"no weights at .*mine.gguf"):
        resolve(settings, catalog, ENGINES).local_path()
