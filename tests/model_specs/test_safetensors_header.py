"""Headers of safetensors files that nobody should trust."""

import tracemalloc
from pathlib import Path

import pytest

from codeserve.model_specs.errors import WeightsError
from codeserve.model_specs.safetensors_header import read_tensors


@pytest.mark.parametrize("length", [2**63, 99_000_000, 500])
def test_a_header_longer_than_its_file_takes_no_memory(tmp_path: Path, length: int) -> None:
    (tmp_path / "model.safetensors").write_bytes(length.to_bytes(8, "little") + b"{}")
    tracemalloc.start()
    with pytest.raises(WeightsError, match=r"does not begin as a safetensors|cut short"):
        read_tensors(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_what_a_real_folder_holds_is_read(tiny_deepseek_folder: Path) -> None:
    tensors = {tensor.name: tensor for tensor in read_tensors(tiny_deepseek_folder)}
    assert tensors["lm_head.weight"].shape == (32256, 128)
    assert tensors["lm_head.weight"].bytes == 32256 * 128 * 4
