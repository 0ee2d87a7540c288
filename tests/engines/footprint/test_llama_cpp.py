"""The planner's rules are the engine's."""

from pathlib import Path

import pytest

from codeserve.engines.footprint.llama_cpp import (
    BITS,
    Options,
    buffers_bytes,
    cells,
    default_token_bytes,
    kv_bytes,
    slots,
)
from codeserve.engines.llama_cpp.options import LlamaCppOptions, ggml_type
from codeserve.model_specs.gguf_header import read_gguf
from codeserve.model_specs.network import Network


@pytest.fixture
def network(smollm2_path: Path) -> Network:
    network = Network.of_gguf(read_gguf(smollm2_path))
    assert network is not None
    return network


def test_the_defaults_are_the_engines() -> None:
    engine = LlamaCppOptions()
    for name in Options.__struct_fields__:
        assert getattr(Options(), name) == getattr(engine, name), name


def test_a_number_in_the_cache_takes_what_ggml_says() -> None:
    import gguf

    for name, bits in BITS.items():
        block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(ggml_type(name))]  # type: ignore[arg-type]
        assert bits == size * 8 / block, name


def test_sequences_share_cells_unless_each_computes_alone() -> None:
    assert (cells(4, 1000, shared=True), slots(4, shared=True)) == (4256, 42)
    assert (cells(4, 1000, shared=False), slots(4, shared=False)) == (4000, 4)


def test_a_quantised_cache_is_smaller_but_the_default_context_is_not_longer(
    network: Network,
) -> None:
    full, half = Options(), Options(type_k="q8_0", type_v="q8_0")
    assert kv_bytes(network, full, 1, 2048) == (2048 + 256) * 23040
    assert kv_bytes(network, half, 1, 2048) == (2048 + 256) * 23040 * 8.5 / 16
    keys, values = network.token_keys, network.token_values
    assert default_token_bytes(keys, values) == 23040
    assert default_token_bytes(keys, values, "q8_0", "q8_0") == 23040


def test_scores_need_room_without_flash_attention(network: Network) -> None:
    with_it = buffers_bytes(network, Options(flash_attn="on"), 1, 8192)
    without = buffers_bytes(network, Options(flash_attn="off"), 1, 8192)
    assert without > 2 * with_it
