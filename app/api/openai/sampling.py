"""Request fields to sampling parameters."""

from codeserve.app.api.openai.body import GenerationBody
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import SamplingParams

SAME_NAME = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "seed",
)
"""Fields that are called alike in a request and in SamplingParams."""


def sampling_params(body: GenerationBody, vocab_size: int) -> SamplingParams:
    """How ``body`` wants tokens to be chosen; what it leaves out has OpenAI's defaults.

    Raises InvalidRequest for a token id outside the vocabulary.
    """
    beyond = [token for token in body.logit_bias or () if token >= vocab_size]
    if beyond:
        raise InvalidRequest(
            f"Invalid 'logit_bias': token id {beyond[0]} does not exist; this model's ids are 0 to "
            f"{vocab_size - 1}.",
            param="logit_bias",
            code="invalid_value",
        )
    given = {name: getattr(body, name) for name in SAME_NAME}
    if body.repeat_penalty is not None:
        given["repetition_penalty"] = body.repeat_penalty
    return SamplingParams(**{name: value for name, value in given.items() if value is not None})
