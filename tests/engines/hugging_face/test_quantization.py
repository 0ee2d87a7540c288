import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.hugging_face.quantization import (
    Quantization,
    logical_weights,
    read_quantization,
)
from codeserve.model_specs.safetensors_header import Tensor

COMPRESSED = {
    "quant_method": "compressed-tensors",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 4, "group_size": 128, "actorder": None},
            "input_activations": None,
        }
    },
}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True, "sym": True},
            Quantization("gptq", 4, 128, desc_act=True),
        ),
        (
            {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"},
            Quantization("awq", 4, 128),
        ),
        ({"quant_method": "AWQ", "w_bit": 4, "q_group_size": 64}, Quantization("awq", 4, 64)),
        (
            {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False},
            Quantization("bitsandbytes", 4),
        ),
        ({"load_in_8bit": True}, Quantization("bitsandbytes", 8)),
        (COMPRESSED, Quantization("compressed-tensors", 4, 128)),
        ({"quant_method": "fp8"}, Quantization("fp8", 8)),
        ({"quant_method": "new"}, Quantization("new")),
    ],
)
def test_the_configuration_tells_the_quantisation(
    tmp_path: Path, settings: Mapping[str, Any], expected: Quantization
) -> None:
    assert read_quantization(tmp_path, {"quantization_config": settings}) == expected


@pytest.mark.parametrize(
    ("file", "settings", "expected"),
    [
        (
            "quantize_config.json",
            {"bits": 4, "group_size": -1, "desc_act": False},
            Quantization("gptq", 4, -1),
        ),
        ("quant_config.json", {"w_bit": 4, "q_group_size": 128}, Quantization("awq", 4, 128)),
    ],
)
def test_older_checkpoints_tell_it_in_a_file_of_its_own(
    tmp_path: Path, file: str, settings: Mapping[str, Any], expected: Quantization
) -> None:
    (tmp_path / file).write_text(json.dumps(settings))
    assert read_quantization(tmp_path, {}) == expected


def test_other_weights_are_not_quantised(tmp_path: Path) -> None:
    assert read_quantization(tmp_path, {"quantization_config": None}) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quant_method": "gptq", "bits": "four"}, "makes no sense: Expected `int | null`"),
        ({"quant_method": "gptq", "bits": 0}, "makes no sense: Expected `int` >= 1"),
        ({"bits": 4}, "without a quant_method"),
        ([], "makes no sense: Expected `object`"),
    ],
)
def test_a_quantisation_that_makes_no_sense_is_refused(
    tmp_path: Path, settings: object, message: str
) -> None:
    with pytest.raises(ModelLoadError, match=rf"config\.json .*{message}"):
        read_quantization(tmp_path, {"quantization_config": settings})


def tensor(name: str, dtype: str, *shape: int) -> Tensor:
    return Tensor(f"model.layers.0.mlp.up_proj.{name}", dtype, shape, 0)


@pytest.mark.parametrize(
    ("quantization", "tensors"),
    [
        (None, [tensor("weight", "BF16", 384, 128)]),
        (
            Quantization("gptq", 4, 128),
            [
                tensor("qweight", "I32", 16, 384),
                tensor("qzeros", "I32", 1, 48),
                tensor("scales", "F16", 1, 384),
                tensor("g_idx", "I32", 128),
            ],
        ),
        (Quantization("gptq", 3, 128), [tensor("qweight", "I32", 12, 384)]),
        (
            Quantization("awq", 4, 128),
            [
                tensor("qweight", "I32", 128, 48),
                tensor("qzeros", "I32", 1, 48),
                tensor("scales", "F16", 1, 384),
            ],
        ),
        (
            Quantization("bitsandbytes", 4),
            [
                tensor("weight", "U8", 24576, 1),
                tensor("weight.absmax", "U8", 768),
                tensor("weight.quant_map", "F32", 16),
                tensor("weight.quant_state.bitsandbytes__nf4", "U8", 80),
            ],
        ),
        (
            Quantization("bitsandbytes", 8),
            [tensor("weight", "I8", 384, 128), tensor("SCB", "F32", 384)],
        ),
        (
            Quantization("compressed-tensors", 4, 128),
            [
                tensor("weight_packed", "I32", 384, 16),
                tensor("weight_scale", "BF16", 384, 1),
                tensor("weight_shape", "I64", 2),
            ],
        ),
        (
            Quantization("fp8", 8),
            [tensor("weight", "F8_E4M3", 384, 128), tensor("weight_scale_inv", "F32", 3, 1)],
        ),
    ],
)
def test_packed_weights_count_as_what_they_stand_for(
    quantization: Quantization | None, tensors: list[Tensor]
) -> None:
    unpacked = Tensor("model.norm.weight", "F16", (128,), 256)
    assert logical_weights([*tensors, unpacked], quantization) == 384 * 128 + 128
