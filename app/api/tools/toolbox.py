"""The tools of one request together."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from codeserve.app.api.tools.call_form import written
from codeserve.app.api.tools.conversation import Message, Turn, messages
from codeserve.app.api.tools.grammar import call_grammar
from codeserve.app.api.tools.tool import ChoiceMode, Tool, ToolCall, ToolChoice
from codeserve.engines.errors import ClientError, InvalidRequest, UnsupportedFeature
from codeserve.engines.types import Grammar

INSTRUCTIONS = """\
You can call these tools, each given as JSON with the schema of its parameters:
{tools}
To call tools, answer with nothing but JSON in this form:
{example}
Arguments follow the schema of the tool. The result of each call comes in the next message.
If no tool helps, or the results are there, answer in plain text.
"""


class Toolbox(msgspec.Struct, frozen=True):
    """Tools and how they may be used."""

    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = ToolChoice()

    def __post_init__(self) -> None:
        """Raises InvalidRequest for two tools of a name, and for a choice of what is not there."""
        if not self.tools and (self.choice.mode is ChoiceMode.REQUIRED or self.choice.names):
            raise InvalidRequest(
                "'tool_choice' demands a tool, but there are no 'tools'.",
                param="tool_choice",
                code="invalid_value",
            )
        names = Counter(tool.name for tool in self.tools)
        for name, count in names.most_common(1):
            if count > 1:
                raise InvalidRequest(
                    f"{count} tools are called '{name}'; each needs a name of its own.",
                    param="tools",
                    code="invalid_value",
                )
        unknown = sorted((self.choice.names or frozenset()) - names.keys())
        if unknown:
            raise InvalidRequest(
                f"There is no tool '{unknown[0]}' to choose; 'tools' has {', '.join(names)}.",
                param="tool_choice",
                code="invalid_value",
            )

    @property
    def is_open(self) -> bool:
        """Whether any tool may be called: there is something to show, to constrain, to read."""
        return bool(self.offered)

    @property
    def offered(self) -> tuple[Tool, ...]:
        """The tools that may be called."""
        if self.choice.mode is ChoiceMode.NONE:
            return ()
        names = self.choice.names
        return tuple(tool for tool in self.tools if names is None or tool.name in names)

    @property
    def instructions(self) -> str:
        """The text that shows the tools to a model; empty if none may be called. It is the same
        for every choice, so that turns of one conversation share it as a prefix."""
        if not self.is_open:
            return ""
        example = ToolCall(id="", name="NAME", arguments='{"PARAMETER":"VALUE"}')
        return INSTRUCTIONS.format(
            tools="\n".join(map(_shown, self.tools)), example=written([example])
        )

    def messages(self, turns: Sequence[Turn], *, param: str = "messages") -> list[Message]:
        """``turns`` for a model's template, with the instructions.

        ``param``: the field that an error names. Raises InvalidRequest for a tool's result without
        a call.
        """
        return messages(turns, self.instructions, param=param)

    def grammar(self, text_form: Grammar | None = None) -> Grammar | None:
        """The form of the answer: calls, or any text; None: any text.

        ``text_form``: the form that the request prescribes for text. Raises InvalidRequest where
        the model is to choose between that and calls.
        """
        if not self.is_open:
            return text_form
        if text_form is not None and self.choice.mode is ChoiceMode.AUTO:
            raise InvalidRequest(
                "A prescribed form of the output, such as 'response_format', cannot stand beside "
                "tools that the model may call or not. Forbid calls or require one.",
                param="tool_choice",
                code="invalid_value",
            )
        return call_grammar(self.offered, self.choice)

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Names ``tools`` in an engine's refusal of the grammar, which cannot know."""
        try:
            yield
        except ClientError as error:
            if self.is_open and error.code in ("invalid_grammar", UnsupportedFeature.code):
                error.message = f"Invalid 'tools': {error.message}"
                error.param = "tools"
            raise


def _shown(tool: Tool) -> str:
    shown = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return json.dumps(
        {key: value for key, value in shown.items() if value},
        ensure_ascii=False,
        separators=(",", ":"),
    )
