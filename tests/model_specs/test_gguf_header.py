"""The heads of real GGUF files, and of such as nobody should trust."""

import struct
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest

from codeserve.model_specs.errors import WeightsError
from codeserve.model_specs.gguf_header import read_gguf
from codeserve.model_specs.network import Network


def write(path: Path, *tensors: str) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_embedding_length(8)
    writer.add_token_list(["a", "bc"] * 50)
    writer.add_float32("general.ratio", 0.5)
    for name in tensors:
        writer.add_tensor(name, np.zeros((4, 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_head_of_a_real_model_tells_its_network(smollm2_path: Path) -> None:
    header = read_gguf(smollm2_path)
    network = Network.of_gguf(header)
    assert header.file_bytes == smollm2_path.stat().st_size
    assert network == Network(
        layers=30,
        hidden=576,
        ffn=1536,
        heads=9,
        kv_heads=3,
        key_size=64,
        value_size=64,
        vocab_rows=49152,
        trained_context_length=8192,
    )


def test_the_head_agrees_with_the_gguf_library(smollm2_path: Path) -> None:
    header, reader = read_gguf(smollm2_path), gguf.GGUFReader(smollm2_path)
    assert [(t.name, t.shape, t.bytes) for t in header.tensors] == [
        (t.name, tuple(map(int, t.shape)), t.n_bytes) for t in reader.tensors
    ]
    assert header.metadata["tokenizer.ggml.pre"] == "smollm"


def test_scalars_are_read_and_arrays_skipped(tmp_path: Path) -> None:
    header = read_gguf(write(tmp_path / "a.gguf", "one"))
    assert header.metadata["general.ratio"] == 0.5
    assert header.number("{arch}.embedding_length") == 8
    assert "tokenizer.ggml.tokens" not in header.metadata
    assert Network.of_gguf(header) is None


def test_the_parts_of_a_split_model_count_together(tmp_path: Path) -> None:
    first = write(tmp_path / "m-00001-of-00002.gguf", "one")
    second = write(tmp_path / "m-00002-of-00002.gguf", "two")
    header = read_gguf(first)
    assert [tensor.name for tensor in header.tensors] == ["one", "two"]
    assert header.file_bytes == first.stat().st_size + second.stat().st_size
    second.unlink()
    with pytest.raises(WeightsError, match=r"00002-of-00002\.gguf cannot be read: No such file"):
        read_gguf(first)


@pytest.mark.parametrize("kept", [5, 20, 60, 300])
def test_a_head_that_ends_early_is_cut_short(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / "a.gguf", "one")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"cut short|too short"):
        read_gguf(path)


def test_missing_data_is_told_with_both_sizes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gguf", "one")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(WeightsError, match=f"cut short: {len(whole) - 100} of {len(whole)} bytes"):
        read_gguf(path)


HUGE = 2**62
KEY = struct.pack("<Q", 1) + b"k"


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"", "not a GGUF file"),
        (b"PK\3\4" * 10, "not a GGUF file"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "GGUF of version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, HUGE, 0), "too short"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, HUGE), "too short"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, HUGE) + bytes(20), "cut short"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + KEY + struct.pack("<IQ", 8, HUGE), "cut short"),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + KEY + struct.pack("<IIQ", 9, 8, HUGE),
            "too short",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + KEY + struct.pack("<IIQ", 9, 4, HUGE),
            "cut short",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + KEY + struct.pack("<IIQ", 9, 9, 1),
            "no type 9 of arrays",
        ),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + KEY + struct.pack("<I", 77), "no type 77"),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + KEY + struct.pack("<I", 99) + bytes(24),
            "99 dimensions",
        ),
    ],
)
def test_a_hostile_head_is_refused_without_taking_memory(
    tmp_path: Path, head: bytes, message: str
) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(head)
    tracemalloc.start()
    with pytest.raises(WeightsError, match=message) as caught:
        read_gguf(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak < 10_000_000


def test_a_folder_is_no_gguf_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        read_gguf(tmp_path)
