from pathlib import Path

import pytest

from codeserve.app.environments.abilities import ABILITIES, BUILT_IN, Weights, of_path, of_spec
from codeserve.app.environments.needs import NEEDS
from codeserve.engines.types import LoadQuantization
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.spec import ModelFormat

GPTQ = '{{"quantization_config": {{"quant_method": "gptq", {}}}}}'


def folder(tmp_path: Path, config: str) -> Path:
    (tmp_path / "config.json").write_text(config)
    return tmp_path


@pytest.mark.parametrize(
    ("config", "weights"),
    [
        ('{"quantization_config": {"quant_method": "gptq"}}', Weights.GPTQ),
        (GPTQ.format('"desc_act": true, "group_size": 128'), Weights.ORDERED_GPTQ),
        (GPTQ.format('"desc_act": true, "group_size": -1'), Weights.GPTQ),
        ('{"quantization_config": {"quant_method": "awq"}}', Weights.AWQ),
        ('{"quantization_config": {"quant_method": "compressed-tensors"}}', Weights.OTHER),
        ("{}", Weights.FULL),
        ("[]", Weights.FULL),
        ("{", Weights.FULL),
    ],
)
def test_a_folder_is_what_its_config_says(tmp_path: Path, config: str, weights: Weights) -> None:
    assert of_path(folder(tmp_path, config), None) is weights


def test_a_path_that_is_not_there_yet_goes_by_its_name() -> None:
    assert of_path(Path("/nowhere/x.GGUF"), None) is Weights.GGUF
    assert of_path(Path("/nowhere"), LoadQuantization.EIGHT_BIT) is Weights.EIGHT_BIT


def test_the_table_knows_every_kind_of_weights_and_every_engine() -> None:
    assert set(ABILITIES) == set(Weights)
    assert set(NEEDS) == BUILT_IN


def test_every_engine_that_the_catalogue_names_for_a_spec_can_load_it() -> None:
    specs = [spec for family in Catalog.load().families for spec in family.specs]
    assert {spec.model_format for spec in specs} == set(ModelFormat)
    for spec in specs:
        assert set(spec.engines) == set(ABILITIES[of_spec(spec.model_format, None)])
