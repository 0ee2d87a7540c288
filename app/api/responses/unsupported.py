"""Fields of OpenAI's that POST /v1/responses refuses, as to ignore them would mislead."""

from codeserve.app.api.generation.refusals import Refused

STATELESS = "This server stores no responses: send the whole conversation in 'input'."
ELSEWHERE = "POST /v1/chat/completions takes it."

REFUSED: Refused = {
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
