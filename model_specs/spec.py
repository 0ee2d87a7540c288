"""What a model is: families, their variants, and the specs that can be launched."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from codeserve.model_specs.sizes import FileSize, Shape


class ModelFormat(StrEnum):
    """The file formats of published weights, in the words of Xinference's launch command."""

    PYTORCH = "pytorch"
    GGUF = "ggufv2"
    GPTQ = "gptq"
    AWQ = "awq"


class Hub(StrEnum):
    """Where weights come from."""

    HUGGINGFACE = "huggingface"
    MODELSCOPE = "modelscope"
    PACKAGE = "package"
    """A file inside an installed Python package."""


class Fim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The control tokens of a fill-in-the-middle prompt, in prefix-suffix-middle order:
    ``begin`` prefix ``hole`` suffix ``end``, after which the model writes the middle."""

    begin: str
    hole: str
    end: str


class EncodeVector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text as a user might type it, control tokens' spellings included, and its ids."""

    text: str
    ids: tuple[int, ...]


class ChatVector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A conversation and the ids of its rendered prompt, ready for the assistant's turn."""

    messages: tuple[Mapping[str, str], ...]
    ids: tuple[int, ...]


class FimVector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prefix and a suffix and the ids of the prompt that asks for the middle."""

    prefix: str
    suffix: str
    ids: tuple[int, ...]


class GoldenVectors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What weights must reproduce at load before they may serve."""

    encode: tuple[EncodeVector, ...] = ()
    chat: tuple[ChatVector, ...] = ()
    fim: tuple[FimVector, ...] = ()
    stop_ids: tuple[int, ...] = ()


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model's makers recommend to choose tokens; None: they recommend nothing."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to speak to one vocabulary: its tokens, its prompt forms and what proves them.

    Several specs share a variant. For weights outside the catalogue, an engine derives one from
    the weights' own metadata.
    """

    family: str
    name: str
    context_length: int
    """Tokens that the model was trained for, prompt and output together."""
    vocab_rows: int | None = None
    """Rows of the embedding, padding included."""
    bos: str | None = None
    """The control token that starts every prompt exactly once; None where there is none."""
    eos: str | None = None
    """What a chat template gets as ``eos_token``."""
    control_tokens: Mapping[str, int] = {}
    """Text to id. They come from templates and trusted prompts only, never from users' text, and
    are never shown."""
    letter_tokens: Mapping[str, int] = {}
    """Added tokens that stand for ordinary text, such as ``ü``; text to id."""
    padding_rows: tuple[int, int] | None = None
    """First and last row without a token; never sampled."""
    stop_tokens: tuple[str, ...] = ()
    """Control tokens that end every generation."""
    fim: Fim | None = None
    """None: the model cannot fill in a middle."""
    chat_template: str | None = None
    """Jinja source; None: the model cannot chat. In a family file also a file under
    ``templates/``."""
    sampling: Sampling = Sampling()
    """What a request that does not say otherwise gets."""
    gguf_exact: Mapping[str, str | int | float | bool] = {}
    """GGUF metadata that is repaired where it is missing or different."""
    gguf_default: Mapping[str, str | int | float | bool] = {}
    """GGUF metadata that is repaired where it is missing."""
    golden: GoldenVectors = GoldenVectors()

    @property
    def stop_ids(self) -> frozenset[int]:
        """The ids of ``stop_tokens``."""
        return frozenset(self.control_tokens[token] for token in self.stop_tokens)


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One place that holds a spec's weights."""

    hub: Hub
    model_id: str
    """Repository on the hub, or the package's import name."""
    revision: str | None = None
    file: str | None = None
    """File name, in which ``{quantization}`` may stand; None: a Hugging Face folder."""


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One launchable form of a model: a size in a format, with its quantisations."""

    size_in_billions: str
    """As in Xinference's launch command: ``"1_3"``, ``"33"``."""
    model_format: ModelFormat
    variant: str
    """Name of the family's variant."""
    quantizations: tuple[str, ...]
    default_quantization: str
    engines: tuple[str, ...]
    """Engine names, best first."""
    sources: tuple[Source, ...]
    """Best first."""
    file_gigabytes: Mapping[str, float] = {}
    """Published size of each quantisation's file in 10^9 bytes, where known."""


class ModelFamily(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Models that share a name and differ in size, format and variant."""

    model_name: str
    description: str
    languages: tuple[str, ...]
    abilities: tuple[str, ...]
    """Of ``generate`` (completion and FIM) and ``chat``."""
    variants: tuple[Variant, ...]
    specs: tuple[ModelSpec, ...]
    shapes: Mapping[str, Shape] = {}
    """By size in billions: what file sizes are estimated from where they are not published."""

    def variant(self, name: str) -> Variant:
        """The variant of that name, which a checked family has for each of its specs."""
        return next(variant for variant in self.variants if variant.name == name)

    def file_size(self, spec: ModelSpec, quantization: str) -> FileSize | None:
        """Size of a GGUF file, published or estimated; None for other formats or if unknown."""
        if quantization in spec.file_gigabytes:
            return FileSize(spec.file_gigabytes[quantization], exact=True)
        shape = self.shapes.get(spec.size_in_billions)
        rows = self.variant(spec.variant).vocab_rows
        if spec.model_format is not ModelFormat.GGUF or shape is None or rows is None:
            return None
        return shape.estimate(rows, quantization)
