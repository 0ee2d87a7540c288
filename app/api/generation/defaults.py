"""How tokens are chosen when a request does not say."""

import msgspec

from codeserve.engines.types import SamplingParams
from codeserve.model_specs.spec import Variant


def default_sampling(variant: Variant) -> SamplingParams:
    """What the family file recommends for the model, and OpenAI's defaults for the rest."""
    recommended = msgspec.structs.asdict(variant.sampling)
    return SamplingParams(
        **{name: value for name, value in recommended.items() if value is not None}
    )
