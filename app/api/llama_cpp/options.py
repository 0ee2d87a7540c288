"""How llama.cpp's clients want text to be generated.

What neither they nor the model say has llama.cpp's defaults, not OpenAI's. An option that would
change the text and cannot be honoured is refused; what concerns the inner workings of llama.cpp's
server is ignored.
"""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from codeserve.app.api.generation import output_form
from codeserve.app.api.generation.defaults import sampling_of
from codeserve.app.api.llama_cpp.fields import BAN, LogitBias, Samplers, check_ids
from codeserve.app.api.openai.body import INT64, Body, Share
from codeserve.app.api.openai.fields import StopStrings
from codeserve.app.manager.lease import LeasedModel
from codeserve.engines.errors import UnsupportedFeature
from codeserve.engines.types import Grammar, SamplingParams, TextRequest
from codeserve.model_specs.segments import Content
from codeserve.model_specs.spec import Variant

NEUTRAL: Mapping[str, float] = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
}
"""What a sampler that is left out of ``samplers`` does: nothing."""

DEFAULTS: Mapping[str, float] = {
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.95,
    "min_p": 0.05,
    "typical_p": 1.0,
}
"""What llama.cpp's server takes where neither the request nor the model says anything."""

INFILL_MIN_P = 0.5
"""Our likeness of the sampler ``infill``, which leaves out unlikely tokens: of two tokens it keeps
the second from half the probability of the first on."""

WARM_UP_PRIORITY = 1
"""Requests that only fill the cache come after those that somebody waits for."""

UNSUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "adaptive_target": (-1,),
    "dry_multiplier": (0,),
    "dynatemp_range": (0,),
    "grammar_lazy": (False,),
    "lora": ([],),
    "mirostat": (0,),
    "post_sampling_probs": (False,),
    "top_n_sigma": (-1, 0),
    "xtc_probability": (0,),
}
"""Fields that would change the reply, and the values, besides null, with which they do not."""

Temperature = Annotated[float, Field(le=100, allow_inf_nan=False)]
Penalty = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=INT64)]
Limit = Annotated[int, Field(ge=-2, lt=INT64)]


class GenerationOptions(Body):
    """What ``/completion`` and ``/infill`` have in common."""

    model: str | None = None
    """None: the first ready model that fills in a middle, or else the first ready one."""
    n_predict: Limit | None = None
    """-1 or None: to the end of the context. 0 fills the cache and generates nothing."""
    max_tokens: Limit | None = None
    """Another name of ``n_predict``."""
    n_cmpl: Annotated[int | None, Field(ge=1, le=128)] = None
    n: Annotated[int | None, Field(ge=1, le=128)] = None
    """Another name of ``n_cmpl``."""
    stream: bool | None = None
    stop: StopStrings = ()
    ignore_eos: bool | None = None
    seed: Annotated[int | None, Field(ge=-INT64, lt=2 * INT64)] = None
    """Negative: random."""
    samplers: Samplers = None
    temperature: Temperature | None = None
    """0 or less: greedy."""
    top_k: Annotated[int | None, Field(ge=-INT64, lt=2**31)] = None
    """0 or less: off."""
    top_p: Share | None = None
    min_p: Share | None = None
    typical_p: Share | None = None
    repeat_penalty: Annotated[float | None, Field(gt=0, le=10, allow_inf_nan=False)] = None
    repeat_last_n: int | None = None
    """0 turns all penalties off; otherwise they look at prompt and output as a whole."""
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: LogitBias = ()
    grammar: str | None = None
    """A GBNF grammar."""
    json_schema: dict[str, Any] | bool | None = None
    n_probs: Annotated[int | None, Field(ge=0, le=100)] = None
    n_indent: Count | None = None
    t_max_predict_ms: Annotated[float | None, Field(ge=-1, allow_inf_nan=False)] = None
    cache_prompt: bool | None = None
    return_tokens: bool | None = None
    timings_per_token: bool | None = None
    response_fields: list[str] | None = None

    @property
    def limit(self) -> int | None:
        """Most tokens to generate; None: as many as fit."""
        limit = self.max_tokens if self.n_predict is None else self.n_predict
        return None if limit is None or limit < 0 else limit

    @property
    def is_warm_up(self) -> bool:
        """Nothing is to be generated, but the prompt is to be cached."""
        return self.limit == 0

    @property
    def choices_per_prompt(self) -> int:
        """How many results each prompt gets."""
        return self.n_cmpl or self.n or 1

    @property
    def form_field(self) -> str:
        """The field that prescribes the form of the output, if one does."""
        return "grammar" if self.grammar else "json_schema"

    @property
    def shows_prompt(self) -> bool:
        """Whether the prompt is a part of the reply."""
        return not self.response_fields or "prompt" in self.response_fields

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.grammar and self.json_schema is not None:
            raise PydanticCustomError(
                "invalid_value",
                "it goes without 'grammar'; send one of them.",
                {"param": "json_schema"},
            )
        return self

    def refuse_unsupported(self) -> None:
        """Raise UnsupportedFeature for a field that would mislead if it were ignored."""
        for name, value in (self.model_extra or {}).items():
            if name in UNSUPPORTED and value is not None and value not in UNSUPPORTED[name]:
                raise UnsupportedFeature(
                    f"This server does not support the parameter '{name}'. Remove it from the "
                    "request.",
                    param=name,
                )

    async def request(self, model: LeasedModel) -> TextRequest:
        """Everything of a generation but its prompt. Raises ClientError."""
        self.refuse_unsupported()
        warm_up, milliseconds = self.is_warm_up, self.t_max_predict_ms or 0
        return TextRequest(
            max_tokens=1 if warm_up else self.limit,
            sampling=self._sampling(await self._biases(model), model.info.variant),
            stop=self.stop,
            ignore_eos=bool(self.ignore_eos),
            logprobs=self.n_probs or None,
            show_prompt=self.shows_prompt,
            line_seconds=milliseconds / 1000 if milliseconds > 0 else None,
            least_indent=self.n_indent or 0,
            cache_salt=uuid.uuid4().hex if self.cache_prompt is False else "",
            priority=WARM_UP_PRIORITY if warm_up else 0,
        )

    def _sampling(self, biases: Mapping[int, float], variant: Variant) -> SamplingParams:
        defaults = sampling_of({}, variant, DEFAULTS)
        penalised = self._uses("penalties") and self.repeat_last_n != 0
        min_p = self._strength("min_p", defaults)
        if self.samplers is not None and "infill" in self.samplers:
            min_p = max(min_p, INFILL_MIN_P)
        return SamplingParams(
            temperature=max(self._strength("temperature", defaults), 0.0),
            top_k=max(int(self._strength("top_k", defaults)), 0),
            top_p=self._strength("top_p", defaults),
            min_p=min_p,
            typical_p=self._strength("typical_p", defaults),
            repetition_penalty=(self.repeat_penalty or defaults.repetition_penalty)
            if penalised
            else 1.0,
            presence_penalty=(self.presence_penalty or 0.0) if penalised else 0.0,
            frequency_penalty=(self.frequency_penalty or 0.0) if penalised else 0.0,
            logit_bias=biases,
            seed=self.seed if self.seed is not None and self.seed >= 0 else None,
            grammar=self._grammar(),
        )

    def _uses(self, sampler: str) -> bool:
        return self.samplers is None or sampler in self.samplers

    def _strength(self, name: str, defaults: SamplingParams) -> float:
        """The value of a sampler: the one given, its default, or one without effect."""
        if not self._uses(name):
            return NEUTRAL[name]
        given: float | None = getattr(self, name)
        default: float = getattr(defaults, name)
        return default if given is None else given

    def _grammar(self) -> Grammar | None:
        if self.grammar:
            return output_form.gbnf(self.grammar)
        return None if self.json_schema is None else output_form.json_schema(self.json_schema)

    async def _biases(self, model: LeasedModel) -> Mapping[int, float]:
        """Bias by token id. Raises InvalidRequest for an id outside the vocabulary."""
        biases: dict[int, float] = {}
        for token, bias in self.logit_bias:
            if isinstance(token, str):
                ids = (await model.tokenize((Content(token),))).token_ids
            else:
                ids = (token,)
            check_ids(ids, "logit_bias", model.info.vocab_size)
            biases.update(dict.fromkeys(ids, bias))
        return biases


def settings(
    options: GenerationOptions, request: TextRequest, model: LeasedModel
) -> dict[str, Any]:
    """``generation_settings``: what is in effect."""
    sampling = request.sampling
    limit = -1 if options.limit is None else options.limit
    return {
        "model": model.id,
        "n_ctx": model.info.context_length,
        "n_predict": limit,
        "max_tokens": limit,
        "seed": -1 if sampling.seed is None else sampling.seed,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "typical_p": sampling.typical_p,
        "repeat_penalty": sampling.repetition_penalty,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "logit_bias": [
            {"token": token, "bias": False if bias == BAN else bias}
            for token, bias in sampling.logit_bias.items()
        ],
        "stop": list(request.stop),
        "ignore_eos": request.ignore_eos,
        "stream": bool(options.stream),
        "n_probs": request.logprobs or 0,
        "n_indent": request.least_indent,
        "t_max_predict_ms": (request.line_seconds or 0) * 1000,
        "grammar": sampling.grammar.source if sampling.grammar else "",
        "timings_per_token": bool(options.timings_per_token),
    }
