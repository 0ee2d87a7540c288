"""The tools of one request together."""

import json
from collections.abc import Sequence

import msgspec

from codeserve.app.api.tools.call_form import written
from codeserve.app.api.tools.conversation import Message, Turn, messages
from codeserve.app.api.tools.grammar import tool_grammar
from codeserve.app.api.tools.tool import ChoiceMode, Tool, ToolCall, ToolChoice
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import Grammar

INSTRUCTIONS = """\
You can call these tools, each given as JSON with the schema of its parameters:
{tools}
To call tools, answer with nothing but JSON in this form:
{example}
Arguments follow the schema of the tool. The result of each call comes in the next message.
If no tool helps, or the results are there, answer in plain text."""


class Toolbox(msgspec.Struct, frozen=True):
    """Tools and how they may be used."""

    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = ToolChoice()

    def __post_init__(self) -> None:
        """Raises InvalidRequest for two tools of a name, and for a choice of what is not there."""
        names = [tool.name for tool in self.tools]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InvalidRequest(
                f"Two tools are called '{twice}'; each needs a name of its own.",
                param="tools",
                code="invalid_value",
            )
        unknown = sorted((self.choice.names or frozenset()) - {*names})
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
        """The form of the answer: calls, or text of ``text_form``; None: any text.

        Raises InvalidRequest for a form of text that cannot stand beside tools.
        """
        if not self.is_open:
            return text_form
        return tool_grammar(self.offered, self.choice, text_form)


def _shown(tool: Tool) -> str:
    shown = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return json.dumps(
        {key: value for key, value in shown.items() if value},
        ensure_ascii=False,
        separators=(",", ":"),
    )
