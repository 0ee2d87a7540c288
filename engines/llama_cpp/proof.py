"""Computes with the installed llama.cpp, so that a build that crashes is found at set-up.

    python -m codeserve.engines.llama_cpp.proof

Loads the embedded model, prefills a batch and decodes some tokens; exits with 0 if it could. What
is fastest for this model on this machine is measured on the way, so the first start of the server
need not.
"""

import asyncio

from codeserve.engines.llama_cpp.backend import create
from codeserve.engines.types import EngineConfig, GenerationRequest, SamplingParams
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.hub.package import locate

PREFILL, DECODE = 64, 8


async def main() -> None:
    """Generate ``DECODE`` tokens after a prompt of ``PREFILL``.

    Raises ModelLoadError and EngineFailure.
    """
    selection = Catalog.load().select("smollm2-instruct")
    engine = create(
        EngineConfig(
            engine="llama.cpp",
            path=str(locate(selection.spec.sources[0])),
            variants=(selection.variant,),
            context_length=128,
        )
    )
    await engine.start(lambda phase, fraction: None)
    request = GenerationRequest(
        id="proof",
        prompt_ids=tuple(range(300, 300 + PREFILL)),
        max_tokens=DECODE,
        stop_ids=frozenset(),
        sampling=SamplingParams(temperature=0),
    )
    async for _ in await engine.generate(request):
        pass
    await engine.stop()


if __name__ == "__main__":
    asyncio.run(main())
