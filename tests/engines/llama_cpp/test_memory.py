from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.memory import (
    available_bytes,
    default_context_length,
    token_bytes,
)
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.llama_cpp.weights import Weights

GIB = 1024**3
DEEPSEEK_6_7B = 32 * 32 * 128 * (2 + 2)


@pytest.fixture
def smollm2_head(smollm2_path: Path) -> Iterator[Weights]:
    with closing(LlamaLog()) as log, closing(Weights.head_of(smollm2_path, log)) as head:
        yield head


def test_a_token_takes_its_keys_and_values_in_every_layer(smollm2_head: Weights) -> None:
    layers, kv_heads, head_size = 30, 3, 64

    in_f16 = token_bytes(smollm2_head, LlamaCppOptions.of({}))
    in_f32 = token_bytes(smollm2_head, LlamaCppOptions.of({"type_k": "f32", "type_v": "f32"}))

    assert in_f16 == layers * kv_heads * head_size * 4
    assert in_f32 == layers * kv_heads * head_size * 8


def test_the_default_context_is_long_where_memory_allows() -> None:
    assert default_context_length(16384, 4, DEEPSEEK_6_7B, 100 * GIB) == 8192
    assert default_context_length(4096, 4, DEEPSEEK_6_7B, 100 * GIB) == 4096
    assert default_context_length(16384, 4, None, 0) == 8192


@pytest.mark.parametrize("free", [8 * GIB, 16 * GIB, 24 * GIB])
def test_the_default_cache_takes_at_most_half_of_the_free_memory(free: int) -> None:
    length = default_context_length(16384, 4, DEEPSEEK_6_7B, free)

    assert 4 * length * DEEPSEEK_6_7B <= free / 2
    assert 4 * (length + 256) * DEEPSEEK_6_7B > free / 2


def test_the_default_context_never_falls_below_a_usable_length() -> None:
    assert default_context_length(16384, 4, DEEPSEEK_6_7B, 0) == 512


def test_some_memory_is_available_here() -> None:
    assert available_bytes() > 100 * 1024**2
