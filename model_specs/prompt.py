"""Prompts in the form that a model was trained on, as segments for the tokenizer."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice

import msgspec

from codeserve.model_specs.chat_template import ChatTemplate
from codeserve.model_specs.errors import PromptError
from codeserve.model_specs.segments import Content, Control, PromptSegments, Segment, Text
from codeserve.model_specs.spec import Variant

ROLES: Mapping[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
"""A client's role to the template's."""

PRIVATE_USE = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))


class ContextFile(msgspec.Struct, frozen=True):
    """A file of the repository, shown to the model ahead of the file it completes."""

    path: str
    text: str


class PromptFormat:
    """The prompt forms of one variant.

    Each form puts the variant's BOS, if it has one, at position 0 and nowhere else. Text between
    two control tokens is one segment, so that the tokenizer merges across template and content as
    in training.
    """

    def __init__(self, variant: Variant) -> None:
        """Raises SpecError if the variant's chat template is not valid Jinja."""
        self.variant = variant
        source = variant.chat_template
        self._template = ChatTemplate(source) if source is not None else None
        # A spelling of one character could not be broken, so that such a token is always text.
        tokens = (token for token in variant.control_tokens if len(token) > 1)
        self._spellings = sorted(tokens, key=len, reverse=True)
        pattern = "|".join(map(re.escape, self._spellings)) or r"(?!)"
        self._control = re.compile(pattern)
        self._control_start = re.compile(f"(?={pattern}).", re.DOTALL)
        cuts = [
            (token[:at], token[at:]) for token in self._spellings for at in range(1, len(token))
        ]
        self._starts = tuple({start for start, _ in cuts})
        self._ends = tuple({end for _, end in cuts})

    @property
    def can_chat(self) -> bool:
        """The variant has a chat template."""
        return self._template is not None

    @property
    def can_fill(self) -> bool:
        """The variant was trained to fill in a middle."""
        return self.variant.fim is not None

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
    ) -> PromptSegments:
        """A conversation of messages with ``role`` and ``content``.

        ``add_generation_prompt``: the assistant's next turn is begun. ``continue_final_message``:
        the assistant's last turn is left open instead, to go on where its content ends.

        Control tokens come from the template only. To tell them from what users typed, every
        control token's spelling in a message is broken by a mark, a private-use character found
        nowhere in the messages; what is still whole after rendering is the template's, and the
        marks are taken out again. Text is ``Content``, for it mixes both.

        Raises:
            PromptError: the model has no template, a role is not known, the last message is not
                the assistant's but should go on, or the template refuses.
        """
        if self._template is None:
            raise PromptError(
                f"{self._model} has no chat template. Use /v1/completions, or a model that chats, "
                "such as deepseek-coder-instruct.",
                param="messages",
                code="chat_not_supported",
            )
        if not messages:
            raise PromptError("messages must hold at least one message.", param="messages")
        roles = [_role(index, message) for index, message in enumerate(messages)]
        contents = [_content(index, message) for index, message in enumerate(messages)]
        if continue_final_message and roles[-1] != "assistant":
            raise PromptError(
                "continue_final_message takes a conversation that ends with the assistant's "
                f"message, but the last one is the {roles[-1]}'s.",
                param="continue_final_message",
            )
        mark, end = _free_characters([self._template.source, *contents])
        broken = [self._break(content, mark) for content in contents]
        if continue_final_message:
            broken[-1] += end
        rendered = self._template.render(
            [
                {"role": role, "content": content}
                for role, content in zip(roles, broken, strict=True)
            ],
            bos_token=self.variant.bos or "",
            eos_token=self.variant.eos or "",
            add_generation_prompt=add_generation_prompt and not continue_final_message,
        )
        if continue_final_message:
            rendered = _up_to(end, rendered)
        bos = Control(self.variant.bos or "")
        return self._begin(
            Content(segment.text.replace(mark, "")) if isinstance(segment, Content) else segment
            for segment in self._split(rendered, Content)
            if segment != bos
        )

    def raw(self, prompt: str, *, add_bos: bool = True) -> PromptSegments:
        """A plain completion. The prompt is trusted: control tokens spelled in it are meant, such
        as those of a ready-made FIM prompt, but for a BOS after its start, which stays text.

        Without ``add_bos`` there is a BOS only if the prompt spells one at its start.
        """
        bos = self.variant.bos
        rest = prompt.removeprefix(bos or "")
        segments = self._begin(self._split(rest, Text, literal=bos))
        begins = add_bos or bos is None or rest != prompt
        return segments if begins else segments[1:]

    def fim(self, prefix: str, suffix: str, files: Sequence[ContextFile] = ()) -> PromptSegments:
        """A prompt whose completion is the middle between ``prefix`` and ``suffix``.

        Prefix-suffix-middle order with ``files`` ahead, each headed by its path, as DeepSeek
        Coder's model card shows them. Nothing is added to prefix or suffix or taken from them.

        Raises:
            PromptError: the model was not trained to fill in a middle.
        """
        form = self.variant.fim
        if form is None:
            raise PromptError(
                f"{self._model} was not trained to fill in a middle, so it takes no suffix. Use a "
                "base model that was, such as deepseek-coder in size 1_3, 6_7 or 33.",
                param="suffix",
                code="fim_not_supported",
            )
        context = "".join(f"#{file.path}\n{file.text}\n" for file in files)
        return self._begin(
            (
                Content(context),
                Control(form.begin),
                Content(prefix),
                Control(form.hole),
                Content(suffix),
                Control(form.end),
            )
        )

    @property
    def _model(self) -> str:
        return f"{self.variant.family} {self.variant.name}".strip()

    def _begin(self, segments: Iterable[Segment]) -> PromptSegments:
        """The segments after the BOS, without empty ones."""
        bos = () if self.variant.bos is None else (Control(self.variant.bos),)
        return (*bos, *(s for s in segments if s not in (Content(""), Text(""))))

    def _split(
        self, text: str, plain: type[Content] | type[Text], literal: str | None = None
    ) -> list[Segment]:
        """Cut ``text`` at control tokens; the ``literal`` one remains text."""
        segments: list[Segment] = []
        start = 0
        for match in self._control.finditer(text):
            if match[0] == literal:
                continue
            segments += [plain(text[start : match.start()]), Control(match[0])]
            start = match.end()
        return [*segments, plain(text[start:])]

    def _break(self, content: str, mark: str) -> str:
        """Put ``mark`` into each control token's spelling, and at an end of ``content`` where the
        template, which may trim it, could make a spelling whole with what it puts beside it."""
        broken = self._control_start.sub(lambda first: first[0] + mark, content)
        trimmed = broken.strip()
        if not trimmed:
            return broken
        inside = any(trimmed in spelling for spelling in self._spellings)
        before = mark if trimmed.startswith(self._ends) else ""
        after = mark if inside or trimmed.endswith(self._starts) else ""
        return broken.replace(trimmed, before + trimmed + after, 1)


def _role(index: int, message: Mapping[str, str]) -> str:
    role = message.get("role", "")
    if role in ROLES:
        return ROLES[role]
    raise PromptError(
        f"messages[{index}].role: {role!r} is not a role; allowed are {', '.join(ROLES)}.",
        param=f"messages[{index}].role",
    )


def _content(index: int, message: Mapping[str, str]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    raise PromptError(
        f"messages[{index}].content must be a string.", param=f"messages[{index}].content"
    )


def _up_to(end: str, rendered: str) -> str:
    """``rendered`` as far as the last ``end``, which marks where the last content ends."""
    before, found, _ = rendered.rpartition(end)
    if not found:
        raise PromptError(
            "This model's chat template does not show the end of the last message, so that it "
            "cannot go on there.",
            param="continue_final_message",
        )
    return before


def _free_characters(texts: Iterable[str]) -> tuple[str, str]:
    """Two private-use characters that none of ``texts`` holds."""
    used = set().union(*texts)
    free = (character for character in map(chr, chain(*PRIVATE_USE)) if character not in used)
    two = tuple(islice(free, 2))
    if len(two) < 2:
        raise PromptError("The messages use up every private-use character.", param="messages")
    return two[0], two[1]
