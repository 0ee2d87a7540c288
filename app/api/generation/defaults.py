"""How tokens are chosen when a request does not say."""

from collections.abc import Mapping
from typing import Any

import msgspec

from codeserve.engines.types import SamplingParams
from codeserve.model_specs.spec import Variant


def default_sampling(variant: Variant, dialect: Mapping[str, Any] | None = None) -> SamplingParams:
    """What the family file recommends for the model, and for the rest the defaults of the
    ``dialect``; without one, OpenAI's."""
    recommended = msgspec.structs.asdict(variant.sampling)
    given = {name: value for name, value in recommended.items() if value is not None}
    return SamplingParams(**{**(dialect or {}), **given})
