"""``options`` of a request: how tokens are chosen, and how many."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from codeserve.app.api.generation.defaults import sampling_of
from codeserve.app.api.openai.base_body import Body
from codeserve.app.api.openai.body import INT64, Penalty, Share
from codeserve.app.api.openai.fields import StopStrings
from codeserve.app.api.openai.unsupported import Neutral, refuse_unsupported
from codeserve.engines.types import Grammar, SamplingParams
from codeserve.model_specs.spec import Variant

UNSUPPORTED: Mapping[str, Neutral] = {
    "options.mirostat": (0,),
    "options.penalize_newline": (True,),
    "options.tfs_z": (1,),
}
"""Options that would mislead if they were ignored, with the values that ask for nothing."""

DEFAULTS: Mapping[str, float] = {"temperature": 0.8, "top_k": 40, "top_p": 0.9}
"""What Ollama takes where neither the request nor the model says anything."""

SAME_NAME = ("temperature", "top_k", "top_p", "min_p", "typical_p")
"""Options that are called alike in SamplingParams."""


class Options(Body):
    """How to generate. Options of a model's loading, such as ``num_ctx`` and ``num_gpu``, pass:
    here they are the operator's."""

    temperature: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    """None: the model's default, or else 0.8; so with ``top_k`` 40 and ``top_p`` 0.9."""
    top_k: Annotated[int | None, Field(ge=-1, lt=INT64)] = None
    """0 or -1 is off."""
    top_p: Share | None = None
    min_p: Share | None = None
    typical_p: Share | None = None
    seed: Annotated[int | None, Field(ge=-INT64, lt=INT64)] = None
    """None or -1: a fresh one."""
    num_predict: Annotated[int | None, Field(ge=-2, lt=INT64)] = None
    """The most tokens to generate. None, -1 or -2: up to the end of the context."""
    stop: StopStrings = ()
    repeat_penalty: Annotated[float | None, Field(gt=0, le=10, allow_inf_nan=False)] = None
    """None: the model's default, or else 1, which is off; it counts the prompt and all of the
    output."""
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repeat_last_n: Annotated[int | None, Field(ge=-1, lt=INT64)] = None
    """0 turns penalties off; other windows are not built."""

    @property
    def max_tokens(self) -> int | None:
        """None: up to the end of the context."""
        if self.num_predict is None or self.num_predict < 0:
            return None
        return self.num_predict

    def sampling(self, form: Grammar | None, variant: Variant) -> SamplingParams:
        """How tokens are chosen, in the ``form`` that the output must have; what is left out has
        the model's defaults, or else Ollama's. Raises UnsupportedFeature for an option that this
        server lacks."""
        extra = self.model_extra or {}
        refuse_unsupported({f"options.{name}": extra[name] for name in extra}, UNSUPPORTED)
        fields = {name: getattr(self, name) for name in SAME_NAME} | self._penalties()
        seed = None if self.seed == -1 else self.seed
        return sampling_of({**fields, "seed": seed, "grammar": form}, variant, DEFAULTS)

    def _penalties(self) -> dict[str, float | None]:
        if self.repeat_last_n == 0:
            return {"repetition_penalty": 1.0}
        return {
            "repetition_penalty": self.repeat_penalty,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
        }
