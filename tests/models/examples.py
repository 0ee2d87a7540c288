"""What an example is, for training the tiny model and for testing with it."""

from dataclasses import dataclass

CONTROL_SPELLINGS = (
    "<|EOT|>",
    "<｜fim▁hole｜>",
    "<｜fim▁begin｜>",
    "<｜fim▁end｜>",
    "<｜end▁of▁sentence｜>",
    "<｜begin▁of▁sentence｜>",
)


@dataclass(frozen=True)
class CompletionExample:
    """Code to continue; the continuation ends with the base model's end token."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class FimExample:
    """The middle that belongs between prefix and suffix, perhaps told by other files."""

    prefix: str
    suffix: str
    middle: str
    files: tuple[tuple[str, str], ...] = ()
    """Path and text of each."""


@dataclass(frozen=True)
class ChatExample:
    """A conversation as pairs of role and content, and the assistant's next answer."""

    messages: tuple[tuple[str, str], ...]
    answer: str
    """Ends with a newline, as in the published training format."""


Example = CompletionExample | FimExample | ChatExample
