"""The tokenizer of a Hugging Face folder."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.hugging_face.byte_level import bytes_of, check_byte_level
from codeserve.engines.hugging_face.documents import read
from codeserve.engines.hugging_face.roles import Token, TokenizerSettings, read_roles

PROBE = "x"


class HuggingFaceVocabulary:
    """Implements ``DescribedVocabulary`` by ``tokenizer.json``, from any thread.

    The file is read as what it is, byte-level BPE, whatever tokenizer class the configuration
    names. Added tokens stand for their own characters, others for bytes.
    """

    def __init__(
        self, path: Path, settings: TokenizerSettings, ends: tuple[int, ...], rows: int
    ) -> None:
        """Read ``path``, a ``tokenizer.json``.

        ``ends``: ids that the configuration names as ends of texts; ``rows``: of the embedding.
        Raises ModelLoadError for a tokenizer of another kind, or that does not fit the rest.
        """
        document = read(path, dict[str, Any])
        check_byte_level(path, document)
        self._tokenizer = _load(path, settings.added_tokens_decoder)
        added = self._tokenizer.get_added_tokens_decoder()
        ids = self._tokenizer.get_vocab(with_added_tokens=True)
        self._texts = {token_id: text for text, token_id in ids.items()}
        _check_rows(path, [*self._texts, *ends], rows)
        self.size: int = rows
        """Number of ids, padding rows included."""
        self.special_tokens: Mapping[str, int] = {t.content: i for i, t in sorted(added.items())}
        """Text to id of every added token."""
        declared = settings.added_tokens_decoder
        self._control = {i for i, token in added.items() if token.special}
        self._control |= {i for i, token in declared.items() if token.special}
        self._roles = read_roles(settings, ends, document, ids)
        self._pieces = list(_pieces(self._texts, added, rows))
        if self.join(self.encode(PROBE)) != PROBE.encode():
            raise ModelLoadError(
                f"{path} puts something in front of a text or changes it (add_prefix_space, a "
                "normalizer), so prompts could not be put together exactly."
            )

    @property
    def bos(self) -> int | None:
        """The token that every prompt starts with, if the folder wants one."""
        return self._roles.bos

    @property
    def eos(self) -> int | None:
        """The token that ends a text."""
        return self._roles.eos

    @property
    def ends_of_generation(self) -> tuple[int, ...]:
        """Every token that ends a text, turn or message."""
        return self._roles.ends

    @property
    def fim(self) -> tuple[int, int, int] | None:
        """The tokens before the prefix, before the suffix and before the middle."""
        return self._roles.fim

    def text(self, token_id: int) -> str:
        """How the file writes the token; a row without a token as ``[PAD7]``."""
        return self._texts.get(token_id) or f"[PAD{token_id}]"

    def is_control(self, token_id: int) -> bool:
        """Whether the folder marks the token as one that stands for no text."""
        return token_id in self._control

    def is_unused(self, token_id: int) -> bool:
        """Whether the row has no token."""
        return token_id not in self._texts

    def encode(self, text: str) -> list[int]:
        """Ids of ``text`` without BOS; added tokens are recognised unless marked as special."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def piece(self, token_id: int) -> bytes:
        """The bytes that a token stands for; none for a row without a token."""
        return self._pieces[token_id]

    def join(self, token_ids: Sequence[int]) -> bytes:
        """The bytes of many tokens, one after the other."""
        return b"".join(map(self._pieces.__getitem__, token_ids))

    def to_json(self) -> str:
        """The tokenizer as the text of a ``tokenizer.json``."""
        text: str = self._tokenizer.to_str()
        return text


def _load(path: Path, declared: Mapping[int, Token]) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise ModelLoadError(f"{path} cannot be loaded: {error}.") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    _declare(tokenizer, path, declared)
    return tokenizer


def _declare(tokenizer: Tokenizer, path: Path, declared: Mapping[int, Token]) -> None:
    """Add tokens that only ``tokenizer_config.json`` adds. Raises ModelLoadError if one misfits."""
    known = tokenizer.get_added_tokens_decoder()
    for token_id, token in sorted(declared.items()):
        if token_id not in known:
            added = AddedToken(token.content, normalized=False, special=token.special)
            tokenizer.add_tokens([added])
        if tokenizer.token_to_id(token.content) != token_id:
            raise ModelLoadError(
                f"{path.with_name('tokenizer_config.json')} says that token {token_id} is "
                f"{token.content!r}, but tokenizer.json says otherwise."
            )


def _check_rows(path: Path, token_ids: Iterable[int], rows: int) -> None:
    last = max(token_ids, default=-1)
    if last >= rows:
        raise ModelLoadError(
            f"{path.parent} has tokens up to id {last}, but the model has only {rows} rows "
            "(vocab_size)."
        )


def _pieces(
    texts: Mapping[int, str], added: Mapping[int, AddedToken], rows: int
) -> Iterator[bytes]:
    for token_id in range(rows):
        text = texts.get(token_id, "")
        yield text.encode() if token_id in added else bytes_of(text)
