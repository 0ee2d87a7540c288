"""Fields that clients know and this server does not honour yet.

A field that is listed here is refused unless its value changes nothing; a field that is neither
listed nor honoured is ignored. To build one, take its row out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from codeserve.engines.errors import UnsupportedFeature

Neutral = Sequence[Any]
"""Values of a field that ask for nothing, besides null."""

GENERATION: Mapping[str, Neutral] = {
    "add_special_tokens": (),
    "allowed_token_ids": ([],),
    "bad_words": ([],),
    "dry_multiplier": (0,),
    "dynatemp_range": (0,),
    "echo": (False,),
    "grammar": ("",),
    "guided_choice": ([],),
    "guided_grammar": ("",),
    "guided_json": (),
    "guided_json_object": (False,),
    "guided_regex": ("",),
    "ignore_eos": (False,),
    "include_stop_str_in_output": (False,),
    "json_schema": (),
    "length_penalty": (1,),
    "min_tokens": (0,),
    "mirostat": (0,),
    "prompt_logprobs": (),
    "response_format": ({"type": "text"},),
    "return_token_ids": (False,),
    "skip_special_tokens": (True,),
    "stop_token_ids": ([],),
    "structured_outputs": ({},),
    "truncate_prompt_tokens": (),
    "typical_p": (1,),
    "use_beam_search": (False,),
    "xtc_probability": (0,),
}

COMPLETION: Mapping[str, Neutral] = {**GENERATION, "best_of": (1,), "logprobs": ()}

CHAT: Mapping[str, Neutral] = {
    **GENERATION,
    "add_generation_prompt": (True,),
    "audio": (),
    "chat_template": ("",),
    "continue_final_message": (False,),
    "documents": ([],),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logprobs": (False,),
    "modalities": (["text"],),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "web_search_options": (),
}


def refuse_unsupported(fields: Mapping[str, Any], unsupported: Mapping[str, Neutral]) -> None:
    """Raise UnsupportedFeature for the first of ``fields`` that would mislead if ignored."""
    for name, value in fields.items():
        if name in unsupported and value is not None and value not in unsupported[name]:
            raise UnsupportedFeature(
                f"This server does not support the parameter '{name}' yet. Remove it from the "
                "request.",
                param=name,
            )
