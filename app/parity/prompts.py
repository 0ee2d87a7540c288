"""What every model is asked: prompts of one's own, or the shipped ones."""

import json
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from codeserve.model_specs.prompt import PromptFormat
from codeserve.model_specs.segments import PromptSegments


class PromptsError(ValueError):
    """A file of prompts cannot be used; the message says where, why and what is allowed."""


class PromptKind(StrEnum):
    """The routes that a prompt can take to a model."""

    COMPLETION = "completion"
    FIM = "fim"
    CHAT = "chat"

    def suits(self, prompts: PromptFormat) -> bool:
        """Whether the model of ``prompts`` takes such prompts."""
        return {
            PromptKind.COMPLETION: True,
            PromptKind.FIM: prompts.can_fill,
            PromptKind.CHAT: prompts.can_chat,
        }[self]


class CompletionPrompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Text to continue."""

    prompt: str

    kind = PromptKind.COMPLETION

    def segments(self, prompts: PromptFormat) -> PromptSegments:
        """The prompt as the model of ``prompts`` was trained to read it."""
        return prompts.raw(self.prompt)


class FimPrompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A hole to fill."""

    prefix: str
    suffix: str

    kind = PromptKind.FIM

    def segments(self, prompts: PromptFormat) -> PromptSegments:
        """The prompt as the model of ``prompts`` was trained to read it. Raises PromptError."""
        return prompts.fim(self.prefix, self.suffix)


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str


class ChatPrompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A conversation to answer."""

    messages: Annotated[tuple[Message, ...], msgspec.Meta(min_length=1)]

    kind = PromptKind.CHAT

    def segments(self, prompts: PromptFormat) -> PromptSegments:
        """The prompt as the model of ``prompts`` was trained to read it. Raises PromptError."""
        return prompts.chat([msgspec.structs.asdict(message) for message in self.messages])


Prompt = CompletionPrompt | FimPrompt | ChatPrompt

KINDS: dict[str, type[Prompt]] = {
    "messages": ChatPrompt,
    "prefix": FimPrompt,
    "suffix": FimPrompt,
    "prompt": CompletionPrompt,
}
"""The kind of prompt that a field belongs to."""


def shipped_prompts() -> tuple[Prompt, ...]:
    """Prompts for DeepSeek Coder: completions, holes to fill and conversations."""
    return read_prompts(Path(str(resources.files("codeserve.app.parity"))) / "prompts.jsonl")


def read_prompts(file: Path) -> tuple[Prompt, ...]:
    """The prompts of ``file``, one JSON object a line. Raises PromptsError."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise PromptsError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PromptsError(f"{file}: not UTF-8: {error}") from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        raise PromptsError(f"{file}: there is no prompt in it")
    return tuple(_read(line, f"{file}, line {number}") for number, line in numbered)


def _read(line: str, place: str) -> Prompt:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise PromptsError(f"{place}: not valid JSON: {error}") from error
    try:
        return msgspec.convert(value, _kind_of(value, place))
    except msgspec.ValidationError as error:
        raise PromptsError(f"{place}: {error}") from error


def _kind_of(value: Any, place: str) -> type[Prompt]:
    """The kind whose fields ``value`` has."""
    for name, kind in KINDS.items():
        if isinstance(value, dict) and name in value:
            return kind
    raise PromptsError(
        f'{place}: write {{"prompt": …}}, {{"prefix": …, "suffix": …}} or {{"messages": […]}}'
    )
