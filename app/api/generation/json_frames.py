"""JSON documents of a stream that differ in one text alone, written once."""

from collections.abc import Callable, Hashable

import msgspec
from pydantic import BaseModel

HOLE = "\ufdd0"
"""Where the text goes: a code point that is no character, and so in no template."""


def compact_json(body: BaseModel) -> bytes:
    """Compact JSON in UTF-8; llama.vim finds nothing in JSON with spaces after colons."""
    return body.model_dump_json().encode()


class JsonFrames:
    """Writes the document of each kind once and puts texts into it."""

    def __init__(self, frame: Callable[[bytes], bytes]) -> None:
        """``frame`` makes a frame of a document."""
        self._frame = frame
        self._templates: dict[Hashable, tuple[bytes, bytes]] = {}

    def frame(self, kind: Hashable, text: str, document: Callable[[str], BaseModel]) -> bytes:
        """The frame of ``document(text)``; documents of one ``kind`` differ in the text alone."""
        template = self._templates.get(kind)
        if template is None:
            whole = self._frame(compact_json(document(HOLE)))
            before, _, after = whole.rpartition(msgspec.json.encode(HOLE))
            template = self._templates[kind] = before, after
        before, after = template
        return before + msgspec.json.encode(text) + after
