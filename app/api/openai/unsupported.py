"""Fields that clients know and this server does not honour.

A field that is listed here is refused unless its value changes nothing. What is neither listed nor
honoured is ignored; ``codeserve.app.api.openai.ignored`` lists what clients really send of that.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from codeserve.engines.errors import UnsupportedFeature

Neutral = Sequence[Any]
"""Values of a field that ask for nothing, besides null."""

GENERATION: Mapping[str, Neutral] = {
    "adaptive_target": (-1,),
    "bad_words": ([],),
    "dry_multiplier": (0,),
    "dynatemp_range": (0,),
    "grammar_lazy": (False,),
    "guided_whitespace_pattern": ("",),
    "length_penalty": (1,),
    "logprob_token_ids": ([],),
    "lora": ([],),
    "mirostat": (0,),
    "mirostat_mode": (0,),
    "n_cmpl": (1,),
    "top_n_sigma": (-1, 0),
    "truncation_side": ("left",),
    "use_beam_search": (False,),
    "xtc_probability": (0,),
}

COMPLETION: Mapping[str, Neutral] = {
    **GENERATION,
    "max_completion_tokens": (),
}

CHAT: Mapping[str, Neutral] = {
    **GENERATION,
    "add_special_tokens": (False,),
    "audio": (),
    "best_of": (1,),
    "chat_template": ("",),
    "chat_template_kwargs": ({},),
    "documents": ([],),
    "modalities": (["text"],),
    "return_prompt_text": (False,),
    "suffix": ("",),
    "web_search_options": (),
}

STRUCTURED_OUTPUTS: Mapping[str, Neutral] = {
    "disable_additional_properties": (False,),
    "disable_any_whitespace": (False,),
    "structural_tag": (),
    "whitespace_pattern": ("",),
}
"""Within ``structured_outputs``."""


def refuse_unsupported(
    fields: Mapping[str, Any], unsupported: Mapping[str, Neutral], within: str = ""
) -> None:
    """Raise UnsupportedFeature for the first of ``fields`` that would mislead if ignored.

    ``within`` is put before their names.
    """
    for name, value in fields.items():
        if name in unsupported and value is not None and value not in unsupported[name]:
            raise UnsupportedFeature(
                f"This server does not support the parameter '{within}{name}'. Remove it from the "
                "request.",
                param=f"{within}{name}",
            )
