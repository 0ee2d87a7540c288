"""Computes with the installed llama.cpp, so that a build that crashes is found at set-up.

    python -m codeserve.engines.llama_cpp.proof

Loads the embedded model, prefills a batch and decodes some tokens; exits with 0 if it could.
"""

from codeserve.engines.batching.scheduler import Scheduler
from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.llama_cpp.backend import LlamaCppBackend
from codeserve.engines.types import EngineConfig, GenerationRequest, SamplingParams
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.hub.package import locate

PREFILL, DECODE = 64, 8


def main() -> None:
    """Generate ``DECODE`` tokens after a prompt of ``PREFILL``. Raises ModelLoadError."""
    selection = Catalog.load().select("smollm2-instruct")
    path = locate(selection.spec.sources[0])
    config = EngineConfig(
        engine="llama.cpp", path=str(path), variants=(selection.variant,), context_length=128
    )
    backend = LlamaCppBackend(config)
    backend.load(lambda phase, fraction: None)
    request = GenerationRequest(
        id="proof",
        prompt_ids=tuple(range(300, 300 + PREFILL)),
        max_tokens=DECODE,
        stop_ids=frozenset(),
        sampling=SamplingParams(temperature=0),
    )
    sequence = Sequence(request)
    scheduler = Scheduler(1, backend.batch_tokens)
    scheduler.add(sequence)
    scheduler.admit()
    backend.open(0, request)
    while sequence.finish_reason is None:
        chunks = scheduler.plan()
        scheduler.apply(chunks, backend.step(chunks))
    backend.unload()


if __name__ == "__main__":
    main()
