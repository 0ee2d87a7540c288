"""What crosses every seam of the engines: plain, immutable values."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any

import msgspec

from codeserve.model_specs.segments import PromptSegments
from codeserve.model_specs.spec import Variant


class FinishReason(StrEnum):
    """Why a generation ended, in OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"


class Lane(IntEnum):
    """Who is served first: a lane goes before the next ones, but never starves them."""

    INTERACTIVE = 0
    """Someone waits for it at the keyboard."""
    NORMAL = 1
    BATCH = 2
    """Nobody waits for it."""


class GrammarKind(StrEnum):
    """The languages in which the form of an output can be prescribed."""

    JSON_SCHEMA = "json_schema"
    """The source is a JSON schema, as JSON text."""
    REGEX = "regex"
    """The whole output matches."""
    CHOICE = "choice"
    """The source is a JSON array of the strings of which the output is one."""
    GBNF = "gbnf"
    """llama.cpp's grammars; the output is a ``root``."""
    LARK = "lark"
    """Lark grammars, in llguidance's dialect; the output is a ``start``."""


class Grammar(msgspec.Struct, frozen=True):
    """The form that an output must have, to its end."""

    kind: GrammarKind
    source: str


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is chosen.

    Order: ``allowed_ids``, ``grammar`` and ``min_tokens`` rule tokens out; then ``logit_bias``,
    penalties, ``temperature``, ``top_k``, ``typical_p``, ``top_p``, ``min_p``, and a draw with
    ``seed``. Presence and frequency penalties count generated tokens only; ``repetition_penalty``
    counts prompt and output.
    """

    temperature: float = 1.0
    """0 is greedy."""
    top_k: int = 0
    """0 or -1 is off."""
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = {}
    """Token id to a number added to its logit."""
    seed: int | None = None
    """None draws a fresh seed."""
    min_tokens: int = 0
    """Ids that end the generation are not sampled before so many tokens are."""
    allowed_ids: tuple[int, ...] = ()
    """Only these are sampled, and what ends the generation; empty: every token."""
    grammar: Grammar | None = None
    """None: any text."""


class TokenScore(msgspec.Struct, frozen=True):
    """How likely one token was, in the model's own distribution: of the raw logits, before biases,
    penalties, temperature and constraints."""

    logprob: float
    rank: int
    """1 for the likeliest token."""
    top: tuple[tuple[int, float], ...] = ()
    """As many of the likeliest ids as asked for, each with its log-probability; best first."""


class GenerationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt to continue, as token ids."""

    id: str
    prompt_ids: tuple[int, ...]
    max_tokens: int
    """At least 1; ``len(prompt_ids) + max_tokens`` fits the context."""
    stop_ids: frozenset[int]
    """Ids that end the generation; the id itself is the last one of the stream."""
    never_ids: frozenset[int] = frozenset()
    """Ids that are not sampled."""
    sampling: SamplingParams = SamplingParams()
    logprobs: int | None = None
    """Score each sampled token, with so many alternatives; None: no scores."""
    prompt_logprobs: int | None = None
    """Score the prompt's tokens likewise; its cached prefixes are computed again for that."""
    lane: Lane = Lane.NORMAL
    priority: int = 0
    """In a lane, requests of a lower number are served first."""
    queue_timeout: float | None = None
    """Seconds that it may wait for a slot; then it ends with DeadlineExceeded."""
    cache_salt: str = ""
    """Prefixes are shared among requests of the same salt only."""


class TokenDelta(msgspec.Struct, frozen=True):
    """The tokens of one engine step for one request."""

    token_ids: tuple[int, ...]
    finish_reason: FinishReason | None = None
    """Set on the last delta only."""
    cached_tokens: int = 0
    """Prompt tokens that were not computed because they were cached; set on the first delta."""
    scores: tuple[TokenScore, ...] = ()
    """One for each of ``token_ids``, if asked for."""
    prompt_scores: tuple[TokenScore, ...] = ()
    """One for each token of the prompt after the first, if asked for; set on the first delta."""
    queued_seconds: float | None = None
    """How long the request waited for a slot; set on the first delta."""


class Usage(msgspec.Struct, frozen=True):
    """What a generation cost, in tokens."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


class EngineLoad(msgspec.Struct, frozen=True):
    """A moment of an engine at work."""

    running: int
    waiting: int
    steps: int
    """Steps completed since start; a watchdog compares two readings."""
    waiting_tokens: int = 0
    """Prompt tokens of the requests that wait."""
    oldest_wait: float = 0.0
    """Seconds that the request has waited that waits longest for a slot."""
    kv_tokens_used: int = 0
    """Tokens in the KV cache, of running requests and of cached prefixes that may make room."""
    kv_tokens_running: int = 0
    """Those of running requests."""
    kv_tokens: int = 0
    """Tokens that fit into the KV cache; 0: unknown."""
    prefix_queries: int = 0
    """Prompt tokens that were looked up in the prefix cache since start."""
    prefix_hits: int = 0
    """Those that were found there."""
    drafts_proposed: int = 0
    """Tokens drafted since start."""
    drafts_accepted: int = 0
    """Those that were kept."""


class LoadQuantization(StrEnum):
    """What full-precision weights can become while they are loaded, in the catalogue's words."""

    FOUR_BIT = "4-bit"
    EIGHT_BIT = "8-bit"


class EngineConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What to load and how: everything that a worker needs to know of a model."""

    engine: str
    path: str
    """A GGUF file or a Hugging Face folder on this machine."""
    variants: tuple[Variant, ...] = ()
    """Variants that the weights may be, told apart by their vocabulary."""
    variant_required: bool = False
    """True: weights that match none of ``variants`` are an error. False: such weights speak for
    themselves, by their own chat template and special tokens."""
    quantization: LoadQuantization | None = None
    """How to quantise full-precision weights while they are loaded; None: they stay as they are."""
    context_length: int | None = None
    """Tokens per request; None takes the engine's default."""
    max_concurrency: int = 4
    """Requests decoded together."""
    max_waiting: int = 256
    """Requests that may wait; one more is refused."""
    max_waiting_tokens: int | None = None
    """Prompt tokens that may wait; a request of more is taken only where none waits."""
    options: Mapping[str, Any] = {}
    """The engine's own settings under its own names."""


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What was loaded, in effective numbers."""

    engine: str
    engine_version: str
    device: str
    """Such as ``cpu`` or ``cuda:0 (24 of 24 layers)``."""
    variant: Variant
    """How to speak to these weights: the catalogue's variant, or one read from the weights."""
    context_length: int
    max_concurrency: int
    trained_context_length: int
    vocab_size: int
    parameters: int
    weights_bytes: int
    repairs: tuple[str, ...] = ()
    """What was wrong in the weights' metadata and overridden, one sentence each."""
    settings: Mapping[str, Any] = {}
    """The engine's effective own settings."""


class TextRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One prompt to continue, as the API process sends it to a worker."""

    id: str = ""
    prompt: PromptSegments = ()
    prompt_name: str = "prompt"
    """The field that the client sent the prompt in, for errors."""
    max_tokens: int | None = None
    """None, or more than fits: up to the end of the context."""
    sampling: SamplingParams = SamplingParams()
    stop: tuple[str, ...] = ()
    """Texts that end the generation."""
    stop_ids: tuple[int, ...] = ()
    """Ids that end the generation, besides the model's own."""
    ignore_eos: bool = False
    """The model's own stop ids do not end the generation, and are never sampled."""
    include_stop: bool = False
    """The stop string, or the name of the stop id, is shown."""
    show_control: bool = False
    """Control tokens are shown by their names."""
    truncate_prompt_tokens: int | None = None
    """Only so many of the prompt's last tokens are used; None: all."""
    show_prompt: bool = False
    """The first delta reports on the prompt."""
    logprobs: int | None = None
    """Score each token, with so many alternatives; None: no scores."""
    prompt_logprobs: int | None = None
    """Score the prompt's tokens in the report likewise."""
    lane: Lane = Lane.NORMAL
    priority: int = 0
    """In a lane, requests of a lower number are served first."""
    queue_timeout: float | None = None
    """Seconds that it may wait for a slot; then it ends with DeadlineExceeded."""
    cache_salt: str = ""
    """Prefixes are shared among requests of the same salt only."""
    line_seconds: float | None = None
    """Once so long after the first token, the generation ends at the next line's end, or at once
    if it has ended one."""
    least_indent: int = 0
    """The generation ends before a line that is indented by fewer spaces or tabs."""


class NamedToken(msgspec.Struct, frozen=True):
    """A token as clients see it."""

    token_id: int
    spelling: bytes
    """The bytes that it stands for; of a control token, those of its name."""
    logprob: float
    is_text: bool = True
    """False for what is not shown: a control token, or the stop id that ended the text."""


class TokenLogprobs(msgspec.Struct, frozen=True):
    """A token and what could have been in its place."""

    chosen: NamedToken
    rank: int
    top: tuple[NamedToken, ...] = ()
    """The likeliest tokens, best first."""


class PromptReport(msgspec.Struct, frozen=True):
    """What became of a prompt."""

    token_ids: tuple[int, ...]
    text: str
    """The text of ``token_ids``: control tokens by their names, without a BOS at the start."""
    spellings: tuple[bytes, ...] = ()
    """Of each token."""
    logprobs: tuple[TokenLogprobs | None, ...] = ()
    """One for each token, if asked for; None for the first."""


class TextDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a generation has added since the last delta."""

    text: str = ""
    """May be empty while characters or possible stop strings are held back."""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprobs, ...] = ()
    """Of the tokens whose text has been shown up to now, if asked for, each once. The text of all
    is the text of all deltas; a stop id comes last."""
    finish_reason: FinishReason | None = None
    """Set on the last delta only."""
    stop_reason: str | int | None = None
    """The stop string or stop id that ended the generation, with the last delta."""
    usage: Usage | None = None
    """Set on the last delta only."""
    queued_seconds: float | None = None
    """How long the request waited for a slot; set on the first delta."""
    cached_tokens: int | None = None
    """Prompt tokens that were cached; set on the first delta."""
    prompt: PromptReport | None = None
    """Set on the first delta only, if asked for."""
