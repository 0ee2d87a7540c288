import re
from collections.abc import Mapping, Sequence

import pytest

from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.model_specs.spec import Variant

SPECIAL = {"<bos>": 256, "<|EOT|>": 257, "|><|": 258, "[PAD9]": 259, "ü": 260, "<|": 261}


class EagerByteVocabulary:
    """A token per byte, and special tokens wherever a text spells one, as llama.cpp finds them."""

    size = 262
    special_tokens: Mapping[str, int] = SPECIAL

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in re.split("(" + "|".join(map(re.escape, SPECIAL)) + ")", text):
            ids += [SPECIAL[part]] if part in SPECIAL else part.encode()
        return ids

    def piece(self, token_id: int) -> bytes:
        spelled = {token_id: text for text, token_id in SPECIAL.items()}
        return spelled[token_id].encode() if token_id in spelled else bytes([token_id])

    def join(self, token_ids: Sequence[int]) -> bytes:
        return b"".join(map(self.piece, token_ids))


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    variant = Variant(
        family="test",
        name="test",
        context_length=64,
        control_tokens={"<bos>": 256, "<|EOT|>": 257},
        letter_tokens={"ü": 260},
        padding_rows=(259, 259),
    )
    return Tokenizer(EagerByteVocabulary(), variant)
