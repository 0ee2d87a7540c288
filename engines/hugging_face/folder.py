"""A Hugging Face folder, read without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.hugging_face.documents import Document, convert, read, read_optional
from codeserve.engines.hugging_face.quantization import (
    Quantization,
    logical_weights,
    read_quantization,
)
from codeserve.engines.hugging_face.roles import Ends, TokenizerSettings
from codeserve.engines.hugging_face.tensors import read_tensors
from codeserve.engines.hugging_face.vocabulary import HuggingFaceVocabulary
from codeserve.engines.text import variants
from codeserve.engines.types import EngineConfig
from codeserve.model_specs.safetensors_header import Tensor, pickled_bytes
from codeserve.model_specs.spec import Variant

DECODERS = ("ForCausalLM", "LMHeadModel")
"""How the architectures end that continue a text."""
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")
ITEM_BYTES = {"float32": 4, "float64": 8}
"""Of a weight's number type; 2 for others."""


@dataclass(frozen=True)
class Folder:
    """Configuration, tokenizer and the headers of the weights of a decoder-only language model."""

    path: Path
    config: Mapping[str, Any]
    """``config.json``"""
    vocabulary: HuggingFaceVocabulary
    quantization: Quantization | None
    """None: the weights are in full precision."""
    chat_template: str | None
    """The Jinja source of the folder's own chat template."""
    trained_context_length: int
    """Tokens that the model was trained for."""
    tensors: tuple[Tensor, ...]
    """Empty if the weights are in PyTorch's own files."""

    @classmethod
    def read(cls, path: Path) -> "Folder":
        """Read all but the weights.

        Raises:
            ModelLoadError: there is no such folder, a file of it is missing, damaged or makes no
                sense, or it holds a model or a tokenizer of another kind.
        """
        _check_folder(path)
        config = read(path / "config.json", dict[str, Any])
        _check_decoder(path, config)
        settings = read_optional(path / "tokenizer_config.json", TokenizerSettings)
        generation = read_optional(path / "generation_config.json", Ends)
        ends = (*generation.ids, *convert(path / "config.json", config, Ends).ids)
        rows = _number(path, config, "vocab_size")
        return cls(
            path=path,
            config=config,
            vocabulary=HuggingFaceVocabulary(path / "tokenizer.json", settings, ends, rows),
            quantization=read_quantization(path, config),
            chat_template=_chat_template(path, settings),
            trained_context_length=_number(path, config, *CONTEXT_KEYS),
            tensors=read_tensors(path),
        )

    @property
    def name(self) -> str:
        """What the model is called: the folder's name."""
        return self.path.resolve().name

    @property
    def dtype(self) -> str | None:
        """The number type that the configuration names, such as ``bfloat16``."""
        named = self.config.get("dtype") or self.config.get("torch_dtype")
        return named if isinstance(named, str) else None

    @cached_property
    def parameters(self) -> int:
        """Number of weights, unpacked; of PyTorch's own files an estimate by their size."""
        if self.tensors:
            return logical_weights(self.tensors, self.quantization)
        return self.weights_bytes // ITEM_BYTES.get(self.dtype or "float32", 2)

    @cached_property
    def weights_bytes(self) -> int:
        """Size of the weights on disk."""
        return sum(tensor.bytes for tensor in self.tensors) or pickled_bytes(self.path)

    def variant(self, config: EngineConfig) -> Variant:
        """The variant to speak to these weights by.

        Raises ModelLoadError if they are none of those that ``config`` requires.
        """
        return variants.choose(config, self)

    def context_length(self, config: EngineConfig, variant: Variant) -> int | None:
        """What ``config`` asks for; None if it leaves it open.

        Raises ModelLoadError if it is more than the model was trained for.
        """
        asked = config.context_length
        return None if asked is None else variants.check_context_length(asked, variant)


def _check_folder(path: Path) -> None:
    if not path.exists():
        raise ModelLoadError(f"{path} does not exist.")
    if not path.is_dir():
        raise ModelLoadError(f"{path} is a file; this engine needs a Hugging Face folder.")
    if not (path / "config.json").exists():
        raise ModelLoadError(f"{path} is no Hugging Face folder: it has no config.json.")
    if not (path / "tokenizer.json").exists():
        instead = ", only tokenizer.model" if (path / "tokenizer.model").exists() else ""
        raise ModelLoadError(
            f"{path} has no tokenizer.json{instead}. Add the tokenizer.json of the model's "
            "published folder, or make one with Transformers."
        )


def _check_decoder(path: Path, config: Document) -> None:
    names = config.get("architectures")
    named = [str(name) for name in names] if isinstance(names, list) else []
    if config.get("is_encoder_decoder") or not any(n.endswith(DECODERS) for n in named):
        raise ModelLoadError(
            f"{path / 'config.json'} describes {', '.join(named) or 'no architecture'}; only "
            "decoder-only language models (...ForCausalLM) can be served."
        )


def _number(path: Path, config: Document, *keys: str) -> int:
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    raise ModelLoadError(f"{path / 'config.json'} has no positive number as {' or '.join(keys)}.")


def _chat_template(path: Path, settings: TokenizerSettings) -> str | None:
    file = path / "chat_template.jinja"
    if file.exists():
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ModelLoadError(f"{file} is not UTF-8 text.") from error
    named = settings.chat_template
    if isinstance(named, tuple):
        return next((item.template for item in named if item.name == "default"), None)
    return named
