"""``options`` of a request: how tokens are chosen, and how many."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Field

from codeserve.app.api.ollama.body import Body
from codeserve.app.api.openai.fields import StopStrings
from codeserve.app.api.openai.unsupported import Neutral, refuse_unsupported
from codeserve.engines.types import Grammar, SamplingParams

Number = TypeVar("Number", int, float)

INT64 = 2**63

UNSUPPORTED: Mapping[str, Neutral] = {
    "options.mirostat": (0,),
    "options.penalize_newline": (True,),
    "options.tfs_z": (1,),
}
"""Options that would mislead if they were ignored, with the values that ask for nothing."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]


class Options(Body):
    """How to generate. Options of a model's loading, such as ``num_ctx`` and ``num_gpu``, pass:
    here they are the operator's."""

    temperature: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    """None: 0.8."""
    top_k: Annotated[int | None, Field(ge=-1, lt=INT64)] = None
    """None: 40; 0 or -1 is off."""
    top_p: Share | None = None
    """None: 0.9."""
    min_p: Share | None = None
    typical_p: Share | None = None
    seed: Annotated[int | None, Field(ge=-INT64, lt=INT64)] = None
    """None or -1: a fresh one."""
    num_predict: Annotated[int | None, Field(ge=-2, lt=INT64)] = None
    """The most tokens to generate. None, -1 or -2: up to the end of the context."""
    stop: StopStrings = ()
    repeat_penalty: Annotated[float | None, Field(gt=0, le=10, allow_inf_nan=False)] = None
    """None: 1, which is off; it counts the prompt and all of the output."""
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

    def sampling(self, form: Grammar | None) -> SamplingParams:
        """How tokens are chosen, in the ``form`` that the output must have; what is left out has
        Ollama's defaults. Raises UnsupportedFeature for an option that this server lacks."""
        extra = self.model_extra or {}
        refuse_unsupported({f"options.{name}": extra[name] for name in extra}, UNSUPPORTED)
        return SamplingParams(
            temperature=_given(self.temperature, 0.8),
            top_k=_given(self.top_k, 40),
            top_p=_given(self.top_p, 0.9),
            min_p=_given(self.min_p, 0.0),
            typical_p=_given(self.typical_p, 1.0),
            seed=None if self.seed == -1 else self.seed,
            grammar=form,
            **({} if self.repeat_last_n == 0 else self._penalties()),
        )

    def _penalties(self) -> dict[str, Any]:
        return {
            "repetition_penalty": _given(self.repeat_penalty, 1.0),
            "presence_penalty": _given(self.presence_penalty, 0.0),
            "frequency_penalty": _given(self.frequency_penalty, 0.0),
        }


def _given(value: Number | None, default: Number) -> Number:
    return default if value is None else value
