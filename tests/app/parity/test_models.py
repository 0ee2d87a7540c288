from pathlib import Path

import pytest

from codeserve.app.model_settings import ModelSettings
from codeserve.app.parity.models import candidates, configured
from codeserve.app.setting_problems import SettingsError
from codeserve.app.settings import Settings


def test_a_model_is_a_reference_of_serve_with_or_without_an_engine() -> None:
    path, catalogued, plain = candidates(
        ["vllm=/m/tiny", "llama.cpp=deepseek-coder:1_3:Q4_K_M", "/m/a=b.gguf"]
    )
    assert (path.settings.engine, path.settings.path) == ("vllm", Path("/m/tiny"))
    assert catalogued.settings.engine == "llama.cpp"
    assert catalogued.settings.quantization == "Q4_K_M"
    assert (plain.settings.engine, plain.settings.path) == (None, Path("/m/a=b.gguf"))
    assert path.name == "vllm=/m/tiny"


def test_a_model_that_is_named_twice_is_numbered() -> None:
    names = [candidate.name for candidate in candidates(["/m/a", "/m/b", "/m/a"])]
    assert names == ["/m/a", "/m/b", "/m/a (2)"]


def test_models_of_a_config_go_by_their_ids() -> None:
    models = (ModelSettings(path=Path("/m/a")), ModelSettings(path=Path("/m/b"), engine="vllm"))
    settings = Settings(models=models)
    assert [one.settings for one in configured(settings, [])] == list(models)
    assert [one.settings for one in configured(settings, ["b"])] == [models[1]]
    with pytest.raises(SettingsError, match="has no model 'c'; its models are a, b"):
        configured(settings, ["a", "c"])
