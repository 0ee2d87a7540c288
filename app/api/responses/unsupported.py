"""Fields of OpenAI's that POST /v1/responses refuses, as to ignore them would mislead."""

from collections.abc import Mapping, Sequence
from typing import Any

from codeserve.engines.errors import UnsupportedFeature

STATELESS = "This server stores no responses: send the whole conversation in 'input'."
ELSEWHERE = "POST /v1/chat/completions takes it."

REFUSED: Mapping[str, tuple[Sequence[Any], str]] = {
    "background": ((False,), "Wait for the response, or stream it."),
    "context_management": (([],), "Shorten 'input' yourself."),
    "conversation": ((), STATELESS),
    "frequency_penalty": ((0,), ELSEWHERE),
    "logit_bias": (({},), ELSEWHERE),
    "max_completion_tokens": ((), "It is called 'max_output_tokens' here."),
    "max_tokens": ((), "It is called 'max_output_tokens' here."),
    "messages": ((), "It is called 'input' here."),
    "moderation": ((), "This server has no moderation."),
    "n": ((1,), ELSEWHERE),
    "presence_penalty": ((0,), ELSEWHERE),
    "previous_response_id": ((), STATELESS),
    "prompt": ((), "This server stores no prompts: send 'instructions' and 'input'."),
    "response_format": ((), "It is called 'text.format' here."),
    "seed": ((), ELSEWHERE),
    "stop": (([],), ELSEWHERE),
    "top_k": ((0, -1), ELSEWHERE),
    "truncation": (("disabled",), "No input is dropped unasked: shorten 'input' yourself."),
}
"""Field to the values that ask for nothing, besides null, and to what helps."""


def refuse_unsupported(fields: Mapping[str, Any]) -> None:
    """Raise UnsupportedFeature for the first of ``fields`` that is refused."""
    for name, value in fields.items():
        neutral, help_text = REFUSED.get(name, ((value,), ""))
        if value is not None and value not in neutral:
            raise UnsupportedFeature(
                f"POST /v1/responses does not support '{name}' of {value!r}. {help_text}"
                if isinstance(value, str | int | float)
                else f"POST /v1/responses does not support '{name}'. {help_text}",
                param=name,
            )
