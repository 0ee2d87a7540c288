"""Request fields to sampling parameters."""

from collections.abc import Iterable

from codeserve.app.api.generation.defaults import sampling_of
from codeserve.app.api.openai.body import GenerationFields
from codeserve.app.api.openai.forms import output_grammar
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import EngineInfo, SamplingParams

SAME_NAME = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "seed",
    "min_tokens",
)
"""Fields that are called alike in a request and in SamplingParams."""

RANDOM_SEED = -1
"""The seed with which clients of llama.cpp ask for a fresh one."""


def sampling_params(body: GenerationFields, info: EngineInfo) -> SamplingParams:
    """How ``body`` wants tokens to be chosen; what it leaves out has the model's defaults, or else
    OpenAI's.

    Raises InvalidRequest for a token id outside the vocabulary, and for forms of the output that
    contradict each other.
    """
    check_token_ids("logit_bias", body.logit_bias or (), info)
    check_token_ids("allowed_token_ids", body.allowed_token_ids or (), info)
    given = {name: getattr(body, name) for name in SAME_NAME} | {
        "allowed_ids": tuple(body.allowed_token_ids or ()),
        "grammar": output_grammar(body),
    }
    if body.repeat_penalty is not None:
        given["repetition_penalty"] = body.repeat_penalty
    if body.seed == RANDOM_SEED:
        given["seed"] = None
    return sampling_of(given, info.variant)


def check_token_ids(field: str, token_ids: Iterable[int], info: EngineInfo) -> None:
    """Raise InvalidRequest for the first of a ``field``'s ids that the model does not have."""
    beyond = next((token_id for token_id in token_ids if token_id >= info.vocab_size), None)
    if beyond is not None:
        raise InvalidRequest(
            f"Invalid '{field}': token id {beyond} does not exist; this model's ids are 0 to "
            f"{info.vocab_size - 1}.",
            param=field,
            code="invalid_value",
        )
