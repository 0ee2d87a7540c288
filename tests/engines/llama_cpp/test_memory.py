from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.memory import token_bytes
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.llama_cpp.weights import Weights


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
