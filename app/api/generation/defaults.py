"""How tokens are chosen when a request does not say."""

from collections.abc import Mapping
from typing import Any

import msgspec

from codeserve.engines.types import SamplingParams
from codeserve.model_specs.spec import Variant


def sampling_of(
    given: Mapping[str, Any], variant: Variant, dialect: Mapping[str, Any] | None = None
) -> SamplingParams:
    """What is ``given``; for what is None or missing there, what the family file recommends for
    the model, then the defaults of the ``dialect``, then OpenAI's."""
    recommended = msgspec.structs.asdict(variant.sampling)
    values = dict(dialect or {})
    for fields in (recommended, given):
        values |= {name: value for name, value in fields.items() if value is not None}
    return SamplingParams(**values)
