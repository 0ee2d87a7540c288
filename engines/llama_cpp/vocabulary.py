"""llama.cpp's tokenizer of one file."""

import ctypes
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import llama_cpp

from codeserve.engines.errors import ModelUnavailable
from codeserve.engines.llama_cpp.long_runs import pieces

CONTROL = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
SPECIAL = CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED


class LlamaVocabulary:
    """Implements ``Vocabulary``; valid while its model is loaded, from any thread."""

    def __init__(self, pointer: Any) -> None:
        """``pointer``: a ``llama_vocab *``."""
        self._pointer: Any | None = pointer
        self.size: int = llama_cpp.llama_vocab_n_tokens(pointer)

    @cached_property
    def special_tokens(self) -> Mapping[str, int]:
        """Text to id of control and user-defined tokens."""
        return {self.text(i): i for i in range(self.size) if self._has(i, SPECIAL)}

    def is_control(self, token_id: int) -> bool:
        """Whether the file marks the token as one that stands for no text."""
        return self._has(token_id, CONTROL)

    def is_unused(self, token_id: int) -> bool:
        """Whether the file marks the row as one without a token."""
        return self._has(token_id, llama_cpp.LLAMA_TOKEN_ATTR_UNUSED)

    def text(self, token_id: int) -> str:
        """How the file writes the token."""
        text: bytes = llama_cpp.llama_vocab_get_text(self._pointer, token_id)
        return text.decode(errors="replace")

    def encode(self, text: str) -> list[int]:
        """Ids of ``text`` without BOS; user-defined tokens are recognised, control tokens not."""
        return [token_id for piece in pieces(text) for token_id in self._encode(piece.encode())]

    def piece(self, token_id: int) -> bytes:
        """The bytes that a token stands for."""
        self._check_open()
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_token_to_piece(self._pointer, token_id, buffer, size, 0, True)
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def join(self, token_ids: Sequence[int]) -> bytes:
        """The bytes of many tokens, one after the other."""
        self._check_open()
        ids = (llama_cpp.llama_token * len(token_ids))(*token_ids)
        size = 8 * len(token_ids)
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_detokenize(
                self._pointer, ids, len(token_ids), buffer, size, False, True
            )
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def close(self) -> None:
        """Refuse further texts, because the model is about to be freed."""
        self._pointer = None

    def _encode(self, data: bytes) -> list[int]:
        self._check_open()
        size = len(data) + 8
        while True:
            ids = (llama_cpp.llama_token * size)()
            count = llama_cpp.llama_tokenize(
                self._pointer, data, len(data), ids, size, False, False
            )
            if count >= 0:
                return list(ids[:count])
            size = -count

    def _has(self, token_id: int, attributes: int) -> bool:
        return bool(llama_cpp.llama_vocab_get_attr(self._pointer, token_id) & attributes)

    def _check_open(self) -> None:
        if self._pointer is None:
            raise ModelUnavailable("The model was unloaded.")

    @property
    def bos(self) -> int | None:
        """The token that every prompt starts with, if the file wants one."""
        if not llama_cpp.llama_vocab_get_add_bos(self._pointer):
            return None
        return _token(llama_cpp.llama_vocab_bos(self._pointer))

    @property
    def eos(self) -> int | None:
        """The token that ends a text."""
        return _token(llama_cpp.llama_vocab_eos(self._pointer))

    @property
    def ends_of_generation(self) -> tuple[int, ...]:
        """Every token that llama.cpp takes for an end of text, turn or message."""
        is_end = llama_cpp.llama_vocab_is_eog
        return tuple(i for i in range(self.size) if is_end(self._pointer, i))

    @property
    def fim(self) -> tuple[int, int, int] | None:
        """The tokens before the prefix, before the suffix and before the middle."""
        tokens = (
            _token(llama_cpp.llama_vocab_fim_pre(self._pointer)),
            _token(llama_cpp.llama_vocab_fim_suf(self._pointer)),
            _token(llama_cpp.llama_vocab_fim_mid(self._pointer)),
        )
        before, hole, end = tokens
        return None if before is None or hole is None or end is None else (before, hole, end)


def _token(token_id: int) -> int | None:
    return None if token_id == llama_cpp.LLAMA_TOKEN_NULL else token_id
