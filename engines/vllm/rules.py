"""What vLLM cannot do by itself, on its way to the processors in vLLM's workers."""

from collections.abc import Mapping
from typing import Any

import msgspec

from codeserve.engines.batching.constraint import is_needed
from codeserve.engines.types import GenerationRequest, SamplingParams

KEY = "codeserve"
"""Names our entry in vLLM's ``extra_args`` and ``additional_config``."""


class Truncation(msgspec.Struct, frozen=True):
    """Which tokens remain of a distribution, by rules that apply in this order."""

    top_k: int
    typical_p: float
    top_p: float
    min_p: float

    @classmethod
    def of(cls, sampling: SamplingParams) -> "Truncation | None":
        """None where vLLM's own rules and order, ``min_p`` first, come to the same."""
        if sampling.typical_p >= 1 and not (sampling.min_p > 0 and sampling.top_p < 1):
            return None
        return cls(sampling.top_k, sampling.typical_p, sampling.top_p, sampling.min_p)


class Rules(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request's."""

    constrained: GenerationRequest | None = None
    """The request without its prompt, if it rules any token out."""
    truncation: Truncation | None = None

    @classmethod
    def of(cls, request: GenerationRequest) -> "Rules":
        """Those of ``request``."""
        bare = msgspec.structs.replace(request, prompt_ids=())
        return cls(bare if is_needed(request) else None, Truncation.of(request.sampling))

    @property
    def packed(self) -> Mapping[str, Any] | None:
        """As ``extra_args``; None if there are none."""
        if self.constrained is None and self.truncation is None:
            return None
        return {KEY: msgspec.json.encode(self).decode()}

    @classmethod
    def unpacked(cls, extra_args: Mapping[str, Any] | None) -> "Rules | None":
        """From ``extra_args``."""
        packed = (extra_args or {}).get(KEY)
        return None if packed is None else msgspec.json.decode(packed, type=cls)
