"""Request fields to what a worker is asked for."""

from codeserve.app.api.openai.body import GenerationFields
from codeserve.app.api.openai.sampling import check_token_ids, sampling_params
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import EngineInfo, TextRequest


def text_request(body: GenerationFields, info: EngineInfo, max_tokens: int | None) -> TextRequest:
    """How ``body`` wants each of its prompts continued, by at most ``max_tokens``.

    Raises InvalidRequest for fields that contradict each other or the model, and
    UnsupportedFeature.
    """
    sampling = sampling_params(body, info)
    check_token_ids("stop_token_ids", body.stop_token_ids or (), info)
    if body.ignore_eos and sampling.grammar is not None:
        raise InvalidRequest(
            "Invalid 'ignore_eos': an output of a prescribed form ends where the form does.",
            param="ignore_eos",
            code="invalid_value",
        )
    if max_tokens is not None and sampling.min_tokens > max_tokens:
        raise InvalidRequest(
            f"Invalid 'min_tokens': {sampling.min_tokens} is more than the {max_tokens} tokens "
            "that may be generated.",
            param="min_tokens",
            code="invalid_value",
        )
    return TextRequest(
        max_tokens=max_tokens,
        sampling=sampling,
        stop=body.stop,
        stop_ids=tuple(body.stop_token_ids or ()),
        ignore_eos=bool(body.ignore_eos),
        include_stop=bool(body.include_stop_str_in_output),
        show_control=body.skip_special_tokens is False,
        truncate_prompt_tokens=body.truncate_prompt_tokens,
        priority=body.priority or 0,
        cache_salt=body.cache_salt or "",
    )
