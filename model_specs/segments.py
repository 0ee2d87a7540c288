"""A prompt on its way to the tokenizer: what is trusted and what is the user's."""

import msgspec


class Control(msgspec.Struct, frozen=True, tag="control"):
    """One control token, by the text that names it, such as ``<｜fim▁hole｜>``."""

    token: str


class Text(msgspec.Struct, frozen=True, tag="text"):
    """Text of the server's own template."""

    text: str


class Content(msgspec.Struct, frozen=True, tag="content"):
    """Text from the user. Nothing in it is ever a control token, whatever it spells."""

    text: str


class Ids(msgspec.Struct, frozen=True, tag="ids"):
    """Token ids given by the client, used verbatim."""

    ids: tuple[int, ...]


Segment = Control | Text | Content | Ids
PromptSegments = tuple[Segment, ...]
