"""Tools as POST /v1/responses names them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import PlainValidator

from codeserve.app.api.generation.parts import kind_of, read_all, read_part
from codeserve.app.api.openai.base_body import Body
from codeserve.app.api.tools.tool import ChoiceMode, Tool, ToolChoice
from codeserve.app.api.tools.toolbox import Toolbox
from codeserve.engines.errors import InvalidRequest

Mode = Literal["none", "auto", "required"]


class FunctionTool(Body):
    """A function of the client's."""

    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionName(Body):
    """One function, by its name; as a choice, it must be called."""

    type: Literal["function"]
    name: str


class AllowedTools(Body):
    """Only some of the tools may be called."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[FunctionName]


CHOICES: Mapping[str, type[FunctionName | AllowedTools]] = {
    "function": FunctionName,
    "allowed_tools": AllowedTools,
}


def toolbox_of(
    tools: Sequence[FunctionTool], choice: Mode | FunctionName | AllowedTools, *, parallel: bool
) -> Toolbox:
    """``tools`` and which of them may be called. Raises InvalidRequest for what cannot be met."""
    return Toolbox(
        tuple(
            Tool(
                name=tool.name,
                description=tool.description or "",
                parameters=tool.parameters or {},
                strict=bool(tool.strict),
            )
            for tool in tools
        ),
        _choice(choice, parallel),
    )


def _choice(choice: Mode | FunctionName | AllowedTools, parallel: bool) -> ToolChoice:
    match choice:
        case FunctionName():
            return ToolChoice.named(choice.name)
        case AllowedTools():
            names = frozenset(tool.name for tool in choice.tools)
            return ToolChoice(mode=ChoiceMode(choice.mode), names=names, parallel=parallel)
        case _:
            return ToolChoice(mode=ChoiceMode(choice), parallel=parallel)


def _read_tools(value: Any) -> tuple[FunctionTool, ...]:
    return () if value is None else (*read_all({"function": FunctionTool}, value, ("tools",)),)


def _read_choice(value: Any) -> Mode | FunctionName | AllowedTools:
    if value is None:
        return "auto"
    if isinstance(value, str):
        return _mode(value)
    return read_part(kind_of(CHOICES, value, ("tool_choice",)), value, ("tool_choice",))


def _mode(value: str) -> Mode:
    match value:
        case "none" | "auto" | "required":
            return value
    raise InvalidRequest(
        f"Invalid value: {value!r}. Supported values are: 'none', 'auto', 'required', and objects "
        "of type 'function' and 'allowed_tools'.",
        param="tool_choice",
        code="invalid_value",
    )


FunctionTools = Annotated[
    tuple[FunctionTool, ...],
    PlainValidator(_read_tools, json_schema_input_type=list[FunctionTool] | None),
]
"""``tools``: functions only."""

Choice = Annotated[
    Mode | FunctionName | AllowedTools,
    PlainValidator(_read_choice, json_schema_input_type=Mode | FunctionName | AllowedTools | None),
]
"""``tool_choice``."""
