"""Tools as Anthropic's clients name them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import PlainValidator

from codeserve.app.api.generation.parts import kind_of, read_all, read_part
from codeserve.app.api.openai.base_body import Body
from codeserve.app.api.tools.tool import ChoiceMode, Tool, ToolChoice
from codeserve.app.api.tools.toolbox import Toolbox


class CustomTool(Body):
    """A tool of the client's."""

    type: Literal["custom"] | None = None
    name: str
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None


class GeneralChoice(Body):
    """Whether tools are called: the model decides, at least one is, none is."""

    type: Literal["auto", "any", "none"]
    disable_parallel_tool_use: bool | None = None


class NamedChoice(Body):
    """One tool that must be called."""

    type: Literal["tool"]
    name: str


CHOICES: Mapping[str, type[GeneralChoice | NamedChoice]] = {
    "auto": GeneralChoice,
    "any": GeneralChoice,
    "none": GeneralChoice,
    "tool": NamedChoice,
}

MODES = {"auto": ChoiceMode.AUTO, "any": ChoiceMode.REQUIRED, "none": ChoiceMode.NONE}


def toolbox_of(tools: Sequence[CustomTool], choice: GeneralChoice | NamedChoice | None) -> Toolbox:
    """``tools`` and which of them may be called. Raises InvalidRequest for what cannot be met."""
    return Toolbox(
        tuple(
            Tool(
                name=tool.name,
                description=tool.description or "",
                parameters=tool.input_schema,
                strict=bool(tool.strict),
            )
            for tool in tools
        ),
        _choice(choice),
    )


def _choice(choice: GeneralChoice | NamedChoice | None) -> ToolChoice:
    match choice:
        case NamedChoice():
            return ToolChoice.named(choice.name)
        case GeneralChoice():
            return ToolChoice(
                mode=MODES[choice.type], parallel=not choice.disable_parallel_tool_use
            )
        case None:
            return ToolChoice()


def _read_tools(value: Any) -> tuple[CustomTool, ...]:
    return (
        ()
        if value is None
        else (*read_all({"custom": CustomTool}, value, ("tools",), default="custom"),)
    )


def _read_choice(value: Any) -> GeneralChoice | NamedChoice | None:
    if value is None:
        return None
    return read_part(kind_of(CHOICES, value, ("tool_choice",)), value, ("tool_choice",))


CustomTools = Annotated[
    tuple[CustomTool, ...],
    PlainValidator(_read_tools, json_schema_input_type=list[CustomTool] | None),
]
"""``tools``: the client's own."""

Choice = Annotated[
    GeneralChoice | NamedChoice | None,
    PlainValidator(_read_choice, json_schema_input_type=GeneralChoice | NamedChoice | None),
]
"""``tool_choice``."""
