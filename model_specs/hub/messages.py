"""What a process that pulls is asked, and what it says: a line of JSON each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.stored import Stored


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Pull the first source that can be had; or fetch again the files that the only one names."""

    folder: Path
    sources: tuple[Artifact, ...]
    again: bool = False


class Progressed(msgspec.Struct, frozen=True, tag="progressed"):
    """Bytes done and in total."""

    done: int
    total: int | None


class Succeeded(msgspec.Struct, frozen=True, tag="succeeded"):
    """The last message of a pull that went well."""

    stored: Stored


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The last message of a pull that did not."""

    code: str
    message: str


Message = Progressed | Succeeded | Failed


def _path(kind: Callable[[Any], Any], value: object) -> object:
    return kind(value)


encode = msgspec.json.Encoder(enc_hook=str).encode
decode_request = msgspec.json.Decoder(Request, dec_hook=_path).decode
decode_message: Callable[[bytes], Message] = msgspec.json.Decoder(Message, dec_hook=_path).decode
decode_stored = msgspec.json.Decoder(Stored, dec_hook=_path).decode
