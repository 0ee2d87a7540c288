from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.models.checkpoints import Checkpoint
from tests.models.packing import Tensors
from tests.models.quantize import SCHEMES, adapted_weights

SHAPES = {
    "self_attn.q_proj": (128, 128),
    "self_attn.k_proj": (128, 64),
    "self_attn.v_proj": (128, 64),
    "self_attn.o_proj": (128, 128),
    "mlp.gate_proj": (128, 384),
    "mlp.up_proj": (128, 384),
    "mlp.down_proj": (384, 128),
}
"""Inputs and outputs."""
LAYERS = [f"model.layers.{index}.{part}" for index in range(4) for part in SHAPES]
AWQ_PLACES = {0: 0, 1: 4, 2: 1, 3: 5, 4: 2, 5: 6, 6: 3, 7: 7}
"""Which nibble of AWQ's number holds each of eight columns."""


@pytest.fixture(params=sorted(SCHEMES))
def checkpoint(request: pytest.FixtureRequest, checkpoints: Mapping[str, Checkpoint]) -> Checkpoint:
    return checkpoints[request.param]


def nibble(number: Any, place: int) -> int:
    return (int(number) >> 4 * place) & 15


def gptq_weight(tensors: Tensors, layer: str, row: int, column: int) -> float:
    """One weight, read as AutoGPTQ's kernels read it."""
    group = tensors[f"{layer}.g_idx"][row]
    code = nibble(tensors[f"{layer}.qweight"][row // 8, column], row % 8)
    zero = nibble(tensors[f"{layer}.qzeros"][group, column // 8], column % 8) + 1
    return (code - zero) * float(tensors[f"{layer}.scales"][group, column])


def awq_weight(tensors: Tensors, layer: str, row: int, column: int) -> float:
    """One weight, read as AutoAWQ's GEMM kernels read it."""
    group, place = row // 128, AWQ_PLACES[column % 8]
    code = nibble(tensors[f"{layer}.qweight"][row, column // 8], place)
    zero = nibble(tensors[f"{layer}.qzeros"][group, column // 8], place)
    return (code - zero) * float(tensors[f"{layer}.scales"][group, column])


def read_json(path: Path) -> Any:
    return msgspec.json.decode(path.read_bytes())


@pytest.mark.parametrize("layer", LAYERS)
def test_the_packed_weights_are_the_dequantised_ones(checkpoint: Checkpoint, layer: str) -> None:
    tensors, weight = checkpoint.tensors, checkpoint.weights[f"{layer}.weight"]
    read = gptq_weight if f"{layer}.g_idx" in tensors else awq_weight
    outputs, inputs = weight.shape
    places = np.random.default_rng(0).integers((inputs, outputs), size=(300, 2))

    for row, column in places:
        assert weight[column, row] == np.float32(read(tensors, layer, row, column))


@pytest.mark.parametrize("layer", LAYERS)
def test_the_packed_tensors_have_the_published_shapes(checkpoint: Checkpoint, layer: str) -> None:
    inputs, outputs = SHAPES[layer.split(".", 3)[3]]
    groups = inputs // 128
    shapes = {
        name.removeprefix(f"{layer}."): (array.shape, array.dtype.name)
        for name, array in checkpoint.tensors.items()
        if name.startswith(layer)
    }

    common = {
        "qzeros": ((groups, outputs // 8), "int32"),
        "scales": ((groups, outputs), "float16"),
    }
    if "g_idx" in shapes:
        gptq = {"qweight": ((inputs // 8, outputs), "int32"), "g_idx": ((inputs,), "int32")}
        assert shapes == common | gptq
    else:
        assert shapes == common | {"qweight": ((inputs, outputs // 8), "int32")}


def test_tables_and_norms_are_not_quantised(checkpoint: Checkpoint) -> None:
    weights = adapted_weights()
    plain = {
        name: array
        for name, array in checkpoint.tensors.items()
        if name.rsplit(".", 1)[0] not in LAYERS
    }

    assert set(plain) == {name for name in weights if "_proj." not in name}
    assert {array.dtype.name for array in plain.values()} == {"float16"}
    assert all((array == weights[name]).all() for name, array in plain.items())


@pytest.mark.parametrize("name", ["gptq", "gptq_desc_act"])
def test_symmetric_zero_points_are_stored_less_one(
    checkpoints: Mapping[str, Checkpoint], name: str
) -> None:
    zeros = [a for n, a in checkpoints[name].tensors.items() if n.endswith("qzeros")]

    assert all((array == 0x77777777).all() for array in zeros)


def test_zero_points_of_awq_differ(checkpoints: Mapping[str, Checkpoint]) -> None:
    zeros = [a for n, a in checkpoints["awq"].tensors.items() if n.endswith("qzeros")]

    assert all(len(np.unique(array)) > 1 for array in zeros)


def test_without_desc_act_neighbours_share_a_group(checkpoints: Mapping[str, Checkpoint]) -> None:
    tensors = checkpoints["gptq"].tensors
    for layer in LAYERS:
        groups = tensors[f"{layer}.g_idx"]
        assert (groups == np.arange(len(groups)) // 128).all()


def test_desc_act_spreads_each_group_over_the_inputs(
    checkpoints: Mapping[str, Checkpoint],
) -> None:
    tensors = checkpoints["gptq_desc_act"].tensors
    for layer in LAYERS:
        if not layer.endswith("down_proj"):
            continue  # one group holds all 128 inputs of the others
        groups = tensors[f"{layer}.g_idx"]
        assert np.bincount(groups).tolist() == [128, 128, 128]
        assert np.abs(np.diff(groups)).sum() > 100


def test_the_dequantised_weights_are_near_what_was_rounded(checkpoint: Checkpoint) -> None:
    weights = adapted_weights()

    assert set(checkpoint.weights) == set(weights)
    for name, array in checkpoint.weights.items():
        assert array.dtype == np.float32
        distance = np.linalg.norm(array - weights[name]) / np.linalg.norm(weights[name])
        assert distance == 0 if "_proj." not in name else 0.01 < distance < 0.2


def test_gptq_is_described_as_autogptq_does(checkpoints: Mapping[str, Checkpoint]) -> None:
    for name, desc_act in {"gptq": False, "gptq_desc_act": True}.items():
        folder = checkpoints[name].folder
        config = read_json(folder / "config.json")
        expected = {"bits": 4, "group_size": 128, "desc_act": desc_act, "sym": True}

        assert config["torch_dtype"] == "float16"
        assert config["quantization_config"].items() >= {"quant_method": "gptq", **expected}.items()
        assert read_json(folder / "quantize_config.json").items() >= expected.items()


def test_awq_is_described_as_autoawq_does(checkpoints: Mapping[str, Checkpoint]) -> None:
    folder = checkpoints["awq"].folder
    config = read_json(folder / "config.json")

    assert config["torch_dtype"] == "float16"
    assert config["quantization_config"] == {
        "bits": 4,
        "group_size": 128,
        "quant_method": "awq",
        "version": "gemm",
        "zero_point": True,
    }
    assert read_json(folder / "quant_config.json") == {
        "zero_point": True,
        "q_group_size": 128,
        "w_bit": 4,
        "version": "GEMM",
    }


def test_the_dequantised_folder_is_a_plain_model(checkpoint: Checkpoint) -> None:
    config = read_json(checkpoint.dequantized / "config.json")

    assert config["torch_dtype"] == "float16"
    assert "quantization_config" not in config
