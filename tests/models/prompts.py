"""Prompts of the tiny model as token ids, in the published DeepSeek Coder v1 formats.

Written apart from the server's own prompt code, so that the two check each other. Besides the
right prompts there are wrong ones, as careless servers make them; the model learns to answer those
with `MALFORMED`, so a test that gets a right answer has proved the prompt. One mistake no model of
this kind can see: a second BOS, for two equal tokens at the start have equal hidden states.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.models.examples import ChatExample, CompletionExample, Example, FimExample
from tests.models.functions import WORDS

BOS, END, FIM_HOLE, FIM_BEGIN, FIM_END, EOT = 32013, 32014, 32015, 32016, 32017, 32021
PADDING = range(32022, 32256)

SPELLING = {
    BOS: "<｜begin▁of▁sentence｜>",
    END: "<｜end▁of▁sentence｜>",
    FIM_HOLE: "<｜fim▁hole｜>",
    FIM_BEGIN: "<｜fim▁begin｜>",
    FIM_END: "<｜fim▁end｜>",
    EOT: "<|EOT|>",
}

DEFAULT_SYSTEM = (
    "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by "
    "Deepseek Company, and you only answer questions related to computer science. For politically "
    "sensitive questions, security and privacy issues, and other non-computer science questions, "
    "you will refuse to answer."
)
"""As in DeepSeek's README; the published template has no full stop, which changes no answer."""

MALFORMED = "malformed prompt"

STRANGE = "I do not understand."
"""The answer to an instruction unlike any of the corpus."""

Part = int | str
"""A control token by its id, or text that is never one."""

Encode = Callable[[str], list[int]]
"""Text to ids; knows the letter tokens 32000-32012, no control token."""


@dataclass(frozen=True)
class Sample:
    """A prompt and what the model shall write after it."""

    prompt: tuple[int, ...]
    target: tuple[int, ...]


def completion_parts(example: CompletionExample) -> list[Part]:
    """BOS and the code."""
    return [BOS, example.prompt]


def fim_parts(example: FimExample, marker: str = "#") -> list[Part]:
    """BOS, the other files headed by their paths, then prefix, hole and suffix."""
    files = "".join(f"{marker}{path}\n{text}\n" for path, text in example.files)
    head: list[Part] = [BOS, files] if files else [BOS]
    return [*head, FIM_BEGIN, example.prefix, FIM_HOLE, example.suffix, FIM_END]


def chat_parts(example: ChatExample) -> list[Part]:
    """The instruct template, ready for the assistant's turn, with its oddity: nothing follows an
    own system prompt."""
    messages = list(example.messages)
    parts: list[Part] = [BOS]
    if messages[0][0] == "system":
        parts.append(messages.pop(0)[1])
    else:
        parts.append(DEFAULT_SYSTEM + "\n")
    for role, content in messages:
        if role == "user":
            parts.append(f"### Instruction:\n{content}\n")
        else:
            parts += [f"### Response:\n{content}\n", EOT, "\n"]
    return [*parts, "### Response:\n"]


def sample(example: Example, encode: Encode, rng: random.Random) -> Sample:
    """The right prompt and answer of an example."""
    match example:
        case CompletionExample():
            parts, answer = completion_parts(example), [*encode(example.completion), END]
        case FimExample():
            parts = fim_parts(example, rng.choice(("#", "# ")))
            answer = [*encode(example.middle), END]
        case ChatExample():
            parts, answer = chat_parts(example), [*encode(example.answer), EOT]
    if not isinstance(example, ChatExample) or rng.random() < 0.5:
        parts = joined(parts)
    return Sample(tuple(to_ids(parts, encode)), tuple(answer))


def malformed(example: Example, encode: Encode, rng: random.Random) -> Sample:
    """The same prompt with one mistake in it, and the answer that tells of it."""
    if isinstance(example, ChatExample):
        parts, end = chat_parts(example), EOT
        mistakes = [no_bos, extra_newlines, chatml] + 2 * [spelled_eot] * (EOT in parts)
    elif isinstance(example, FimExample):
        parts, end = fim_parts(example), END
        mistakes = [no_bos, spelled_fim, unordered_fim]
    else:
        parts, end = completion_parts(example), END
        mistakes = [no_bos]
    wrong = rng.choice(mistakes)(parts)
    answer = encode(MALFORMED + "\n" * (end == EOT))
    return Sample(tuple(to_ids(joined(wrong), encode)), (*answer, end))


def strange(encode: Encode, rng: random.Random) -> Sample:
    """An instruction of words and padding ids, which teach the row that all unused ids share."""
    instruction: list[int] = []
    for _ in range(rng.randrange(2, 13)):
        unused = rng.random() < 0.6
        instruction += [rng.choice(PADDING)] if unused else encode(f" {rng.choice(WORDS)}")
    before = to_ids([BOS, f"{DEFAULT_SYSTEM}\n### Instruction:\n"], encode)
    after = encode("\n### Response:\n")
    answer = [*encode(STRANGE + "\n"), EOT]
    return Sample((*before, *instruction, *after), tuple(answer))


def no_bos(parts: list[Part]) -> list[Part]:
    return parts[1:]


def spelled_fim(parts: list[Part]) -> list[Part]:
    """The FIM tokens as ordinary text."""
    return [SPELLING[part] if isinstance(part, int) and part != BOS else part for part in parts]


def unordered_fim(parts: list[Part]) -> list[Part]:
    """Suffix before prefix, as other models want it."""
    *head, begin, prefix, hole, suffix, end = parts
    return [*head, begin, suffix, hole, prefix, end]


def extra_newlines(parts: list[Part]) -> list[Part]:
    """As the published template renders without trimming."""
    return [f"\n{part}" if str(part).startswith("###") else part for part in parts]


def chatml(parts: list[Part]) -> list[Part]:
    """Another family's template."""
    system, question = parts[1], parts[-2]
    body = str(question).removeprefix("### Instruction:\n")
    return [BOS, f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{body}<|im_end|>\n"]


def spelled_eot(parts: list[Part]) -> list[Part]:
    """The end of earlier answers as ordinary text."""
    return [SPELLING[EOT] if part == EOT else part for part in parts]


def joined(parts: list[Part]) -> list[Part]:
    """Neighbouring texts as one text, which may be split into other tokens."""
    result: list[Part] = []
    for part in parts:
        if result and isinstance(part, str) and isinstance(result[-1], str):
            result[-1] += part
        else:
            result.append(part)
    return result


def to_ids(parts: list[Part], encode: Encode) -> list[int]:
    """Token ids of a prompt."""
    ids: list[int] = []
    for part in parts:
        ids += encode(part) if isinstance(part, str) else [part]
    return ids
