"""Writes a model in the exact shape of DeepSeek Coder 1.3B with random weights, as GGUF in Q4_K_M:

    .venv/bin/python benchmarks/deepseek_shape.py OUT.gguf

Its tokenizer is the real one. Speed does not depend on the weights, except where drafts are made:
what a random model writes repeats itself. Takes about a minute on idle cores, 1 GB of memory and
2.7 GB of disk beside OUT for the time being; OUT has 873 MB.
"""

import argparse
import ctypes
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

from codeserve.engines.llama_cpp.log import LlamaLog

VOCABULARY = (
    Path(sys.prefix) / "share" / "codeserve-vocabularies" / "ggml-vocab-deepseek-coder.gguf"
)
LAYERS, HIDDEN, INTERMEDIATE, HEADS, ROWS = 24, 2048, 5504, 16, 32256
CONTEXT, NORM_EPSILON, ROPE_THETA, ROPE_FACTOR = 16384, 1e-6, 100000.0, 4.0
BOS, END = 32013, 32014
DEVIATION = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the GGUF file to write")
    out: Path = parser.parse_args().out
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".deepseek-shape-") as folder:
        full, small = Path(folder) / "f16.gguf", Path(folder) / "q4_k_m.gguf"
        write_f16(full)
        quantize(full, small)
        small.rename(out)
    print(f"{out}: {out.stat().st_size / 1e6:.0f} MB")


def write_f16(path: Path) -> None:
    """The weights in float16, one tensor after the other, so that memory holds one of them."""
    writer = gguf.GGUFWriter(path, "llama")
    add_metadata(writer)
    for name, shape in tensors():
        kind = np.dtype(np.float32 if len(shape) == 1 else np.float16)
        size = int(np.prod(shape)) * kind.itemsize
        writer.add_tensor_info(name, shape, kind, size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = np.random.default_rng(1)
    for _, shape in tensors():
        if len(shape) == 1:
            writer.write_tensor_data(np.ones(shape, np.float32))
        else:
            numbers = random.standard_normal(shape, np.float32) * np.float32(DEVIATION)
            writer.write_tensor_data(numbers.astype(np.float16))
    writer.close()


def add_metadata(writer: gguf.GGUFWriter) -> None:
    """The architecture and the tokenizer."""
    writer.add_name("deepseek-coder-1.3b-shape")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INTERMEDIATE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_rope_freq_base(ROPE_THETA)
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(ROPE_FACTOR)
    writer.add_layer_norm_rms_eps(NORM_EPSILON)
    writer.add_vocab_size(ROWS)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    fields = gguf.GGUFReader(VOCABULARY).fields
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("deepseek-coder")
    writer.add_token_list(fields["tokenizer.ggml.tokens"].contents())
    writer.add_token_types(fields["tokenizer.ggml.token_type"].contents())
    writer.add_token_merges(fields["tokenizer.ggml.merges"].contents())
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(END)
    writer.add_pad_token_id(END)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def tensors() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor, rows first."""
    yield "token_embd.weight", (ROWS, HIDDEN)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        yield f"{block}.attn_norm.weight", (HIDDEN,)
        for part in ("q", "k", "v", "output"):
            yield f"{block}.attn_{part}.weight", (HIDDEN, HIDDEN)
        yield f"{block}.ffn_norm.weight", (HIDDEN,)
        yield f"{block}.ffn_gate.weight", (INTERMEDIATE, HIDDEN)
        yield f"{block}.ffn_up.weight", (INTERMEDIATE, HIDDEN)
        yield f"{block}.ffn_down.weight", (HIDDEN, INTERMEDIATE)
    yield "output_norm.weight", (HIDDEN,)
    yield "output.weight", (ROWS, HIDDEN)


def quantize(source: Path, target: Path) -> None:
    """Write ``source`` in Q4_K_M; a row whose length does not divide by 256 gets the type that
    llama.cpp takes instead, as in the published files."""
    log = LlamaLog()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M
    with log.only_errors():
        failed = llama_cpp.llama_model_quantize(
            str(source).encode(), str(target).encode(), ctypes.byref(params)
        )
    log.close()
    if failed:
        raise SystemExit(f"llama.cpp could not quantise {source}: {log.first_error}")


if __name__ == "__main__":
    main()
