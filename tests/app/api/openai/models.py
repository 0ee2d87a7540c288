"""What was loaded, without loading it."""

from codeserve.engines.types import EngineInfo
from codeserve.model_specs.spec import Sampling, Variant


def engine_info(sampling: Sampling | None = None) -> EngineInfo:
    """A model of a hundred tokens whose makers recommend ``sampling``."""
    return EngineInfo(
        engine="fake",
        engine_version="1",
        device="cpu",
        variant=Variant(family="f", name="v", context_length=64, sampling=sampling or Sampling()),
        context_length=64,
        max_concurrency=1,
        trained_context_length=64,
        vocab_size=100,
        parameters=0,
        weights_bytes=0,
    )
