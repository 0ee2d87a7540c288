import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.hugging_face.tensors import read_tensors
from codeserve.model_specs.safetensors_header import Tensor

INDEX = "model.safetensors.index.json"
A = {"a": np.zeros((3, 5), np.float16)}
B = {"b": np.zeros(4, np.int32), "c": np.zeros((), np.float32)}


def test_headers_tell_names_types_shapes_and_sizes(tmp_path: Path) -> None:
    save_file(A | B, tmp_path / "model.safetensors", {"format": "pt"})
    assert sorted(read_tensors(tmp_path), key=lambda tensor: tensor.name) == [
        Tensor("a", "F16", (3, 5), 30),
        Tensor("b", "I32", (4,), 16),
        Tensor("c", "F32", (), 4),
    ]


def test_an_index_says_which_files_belong_to_the_model(tmp_path: Path) -> None:
    save_file(A, tmp_path / "model-00001-of-00002.safetensors")
    save_file(B, tmp_path / "model-00002-of-00002.safetensors")
    save_file(A | B, tmp_path / "consolidated.safetensors")
    weight_map = dict.fromkeys(A, "model-00001-of-00002.safetensors")
    weight_map |= dict.fromkeys(B, "model-00002-of-00002.safetensors")
    (tmp_path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))

    assert sorted(tensor.name for tensor in read_tensors(tmp_path)) == ["a", "b", "c"]


def test_a_single_file_may_have_another_name(tmp_path: Path) -> None:
    save_file(A, tmp_path / "gptq_model-4bit-128g.safetensors")
    assert [tensor.elements for tensor in read_tensors(tmp_path)] == [15]


def test_pytorchs_own_files_have_no_headers(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK")
    assert read_tensors(tmp_path) == ()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ('{"weight_map": {"a": "1.safetensors"}}', r"incomplete: 1\.safetensors is missing"),
        (
            '{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}',
            r"incomplete: 1\.safetensors, 2\.safetensors are missing",
        ),
        ('{"weight_map": {}}', r"index\.json makes no sense"),
        ("{}", r"index\.json makes no sense"),
    ],
)
def test_an_index_without_its_files_is_refused(tmp_path: Path, index: str, message: str) -> None:
    (tmp_path / INDEX).write_text(index)
    with pytest.raises(ModelLoadError, match=message):
        read_tensors(tmp_path)


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(A, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(ModelLoadError, match=f"cut short: {len(whole) - 1} of {len(whole)} bytes"):
        read_tensors(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x10\0\0\0\0\0\0\0{",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 26\n",
        b'\x02\0\0\0\0\0\0\0["',
        b'\x0a\0\0\0\0\0\0\0{"a": [1]}',
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelLoadError, match=r"does not begin as a safetensors file"):
        read_tensors(tmp_path)
