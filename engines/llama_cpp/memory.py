"""How much memory a token takes in llama.cpp's KV cache."""

from codeserve.engines.footprint.llama_cpp import default_token_bytes
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.llama_cpp.weights import Weights


def token_bytes(weights: Weights, options: LlamaCppOptions) -> int | None:
    """Bytes of one token's keys and values over all layers; None if the file does not say.

    A quantised cache and one whose type is not decided yet count as float16.
    """
    architecture = weights.metadata("general.architecture")

    def number(key: str) -> int | None:
        value = weights.metadata(f"{architecture}.{key}")
        return int(value) if value and value.isdecimal() else None

    layers, heads = number("block_count"), number("attention.head_count")
    width = number("embedding_length")
    if not layers or not heads or not width:
        return None
    kv_heads = number("attention.head_count_kv") or heads
    head_size = number("attention.key_length") or width // heads
    numbers = layers * kv_heads * head_size
    return default_token_bytes(numbers, numbers, options.type_k, options.type_v)
