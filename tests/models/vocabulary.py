"""The real DeepSeek Coder v1 vocabulary, read from its GGUF file, as a Hugging Face tokenizer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import GGUFReader

REAL_TOKENS, FIRST_ADDED, BOS, END = 32022, 32000, 32013, 32014


@dataclass(frozen=True)
class Vocabulary:
    """The rows of ``ggml-vocab-deepseek-coder.gguf``."""

    tokens: list[str]
    types: list[int]
    merges: list[str]

    @classmethod
    def read(cls, path: Path) -> "Vocabulary":
        """Read a GGUF file's tokenizer; takes about three seconds."""
        return cls.of(GGUFReader(path))

    @classmethod
    def of(cls, reader: GGUFReader) -> "Vocabulary":
        """The tokenizer of an open GGUF file."""
        tokens, types, merges = (
            reader.fields[f"tokenizer.ggml.{name}"].contents()
            for name in ("tokens", "token_type", "merges")
        )
        return cls(tokens, types, merges)

    def tokenizer_json(self) -> dict[str, Any]:
        """``tokenizer.json`` as published: byte-level BPE behind DeepSeek's own split rules."""
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                self.added_token(row) | {"id": row} for row in range(FIRST_ADDED, REAL_TOKENS)
            ],
            "normalizer": None,
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [
                    *(split(rule) for rule in (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+")),
                    split("[一-龥ࠀ-一가-퟿]+"),
                    {"type": "Digits", "individual_digits": True},
                    byte_level(),
                ],
            },
            "post_processor": byte_level(),
            "decoder": byte_level(),
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "vocab": {token: row for row, token in enumerate(self.tokens[:FIRST_ADDED])},
                "merges": [merge.split(" ") for merge in self.merges],
            },
        }

    def tokenizer_config_json(self, end: int, chat_template: str | None) -> dict[str, Any]:
        """``tokenizer_config.json``, which wants a BOS that ``tokenizer.json`` does not add."""
        config: dict[str, Any] = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": self.tokens[BOS],
            "eos_token": self.tokens[end],
            "pad_token": self.tokens[END],
            "add_bos_token": True,
            "add_eos_token": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": 16384,
            "added_tokens_decoder": {
                str(row): self.added_token(row) for row in range(FIRST_ADDED, REAL_TOKENS)
            },
        }
        return config | ({"chat_template": chat_template} if chat_template else {})

    def added_token(self, row: int) -> dict[str, Any]:
        """Only BOS and the base model's end count as special, as published."""
        flags = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
        return {"content": self.tokens[row], **flags, "special": row in (BOS, END)}


def split(rule: str) -> dict[str, Any]:
    """A pre-tokenizer that isolates each match."""
    return {
        "type": "Split",
        "pattern": {"Regex": rule},
        "behavior": "Isolated",
        "invert": False,
    }


def byte_level() -> dict[str, Any]:
    """The byte alphabet of GPT-2 without its split rule."""
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": False,
    }
