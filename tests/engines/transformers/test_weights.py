import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.hugging_face.folder import Folder
from codeserve.engines.transformers import weights
from codeserve.engines.transformers.devices import choose_dtype, computes_in_bfloat16
from codeserve.engines.transformers.options import TransformersOptions
from codeserve.engines.types import LoadQuantization

ON_CPU = {"": "cpu"}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False}


@pytest.fixture
def folder(tmp_path: Path, tiny_deepseek_folder: Path) -> Path:
    """A copy of the tiny model, to be changed."""
    return Path(shutil.copytree(tiny_deepseek_folder, tmp_path / "model"))


def change(folder: Path, changes: Mapping[str, Any]) -> Folder:
    """The folder with other entries in its ``config.json``."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return Folder.read(folder)


def load(folder: Folder, quantization: LoadQuantization | None = None) -> Any:
    return weights.load(folder, quantization, torch.float32, ON_CPU, lambda phase, part: None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {
                "model_type": "mistral",
                "architectures": ["MistralForCausalLM"],
                "sliding_window": 64,
            },
            "layers of sliding_attention",
        ),
        (
            {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
            "kind 'dynamic', which change",
        ),
        ({"model_type": "nonesuch"}, "Transformers cannot load .*nonesuch"),
        ({"auto_map": {"AutoConfig": "x.Y"}, "model_type": "own"}, "Transformers cannot load"),
        ({"num_hidden_layers": 5}, "missing, such as model.layers.4"),
        ({"intermediate_size": 128}, "cannot load|mismatched"),
    ],
)
def test_a_model_that_cannot_be_served_right_is_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelLoadError, match=message):
        load(change(folder, changes))


def test_missing_weights_are_not_made_up(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelLoadError, match=r"1 tensors are missing.*layers.1.mlp.up_proj"):
        load(Folder.read(folder))


def test_quantised_weights_are_not_quantised_again(folder: Path) -> None:
    gptq = change(folder, {"quantization_config": GPTQ})
    with pytest.raises(ModelLoadError, match=r"'4-bit', but .* quantised already, by gptq"):
        load(gptq, LoadQuantization.FOUR_BIT)


def test_a_quantisation_that_is_not_supported_names_those_that_are(folder: Path) -> None:
    fp8 = change(folder, {"quantization_config": {"quant_method": "fp8"}})
    with pytest.raises(ModelLoadError, match=r"by fp8.*supports bitsandbytes, gptq, awq"):
        load(fp8)


def test_a_missing_package_names_the_command_that_installs_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(ModelLoadError, match=r"'bitsandbytes'.*codeserve engines install trans"):
        load(Folder.read(folder), LoadQuantization.EIGHT_BIT)


def test_loading_reports_its_progress(folder: Path) -> None:
    reports: list[tuple[str, float]] = []
    weights.load(
        Folder.read(folder), None, torch.float32, ON_CPU, lambda *report: reports.append(report)
    )
    assert len(reports) > 10
    assert reports[-1] == ("weights", 1.0)
    assert reports == sorted(reports)


@pytest.mark.parametrize(
    ("stored", "asked", "placement", "expected"),
    [
        ("float32", "auto", ON_CPU, "float32"),
        ("float16", "auto", ON_CPU, "float32"),
        ("bfloat16", "auto", ON_CPU, "bfloat16" if computes_in_bfloat16() else "float32"),
        ("bfloat16", "auto", {"": "cuda:0"}, "bfloat16"),
        ("float16", "auto", {"": "cuda:0"}, "float16"),
        ("bfloat16", "float16", ON_CPU, "float16"),
    ],
)
def test_the_number_type_follows_the_checkpoint_and_the_device(
    folder: Path, stored: str, asked: str, placement: dict[str, str], expected: str
) -> None:
    changed = change(folder, {"torch_dtype": stored})
    options = TransformersOptions.of({"dtype": asked})
    assert choose_dtype(options, changed, placement) == getattr(torch, expected)


def test_gptq_is_computed_in_float16_and_nothing_else(folder: Path) -> None:
    gptq = change(folder, {"quantization_config": GPTQ})
    assert choose_dtype(TransformersOptions.of({}), gptq, ON_CPU) == torch.float16
    with pytest.raises(ModelLoadError, match="GPTQ checkpoints are computed in float16"):
        choose_dtype(TransformersOptions.of({"dtype": "bfloat16"}), gptq, ON_CPU)
