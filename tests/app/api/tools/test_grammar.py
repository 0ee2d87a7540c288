import json
from typing import Any

import pytest

from codeserve.app.api.tools.call_form import written
from codeserve.app.api.tools.grammar import MAX_CALLS, call_grammar
from codeserve.app.api.tools.tool import ChoiceMode, Tool, ToolCall, ToolChoice
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import Grammar
from tests.app.api.tools.grammars import begins, fits

WEATHER = Tool(
    name="get_weather",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"$ref": "#/$defs/days"}},
        "required": ["city"],
        "$defs": {"days": {"type": "integer", "minimum": 1}},
    },
)
CLOCK = Tool(name="clock.now-utc")
TOOLS = (WEATHER, CLOCK)

PARIS = '{"tool_calls":[{"name":"get_weather","arguments":{"city":"Paris","days":2}}]}'
NOW = '{"tool_calls":[{"name":"clock.now-utc","arguments":{}}]}'
BOTH = PARIS[:-2] + "," + NOW.removeprefix('{"tool_calls":[')

AUTO = call_grammar(TOOLS, ToolChoice())
REQUIRED = call_grammar(TOOLS, ToolChoice(mode=ChoiceMode.REQUIRED))


def one(tool: Tool) -> Grammar:
    return call_grammar([tool], ToolChoice.named(tool.name))


def takes(tool: Tool, arguments: Any) -> bool:
    """Whether ``tool`` may be called so."""
    call = ToolCall(id="", name=tool.name, arguments=json.dumps(arguments))
    return fits(one(tool), written([call]))


@pytest.mark.parametrize("grammar", [AUTO, REQUIRED])
@pytest.mark.parametrize("text", [PARIS, NOW, BOTH])
def test_calls_are_allowed(grammar: Grammar, text: str) -> None:
    assert fits(grammar, text)


TEXTS = [
    "Hello!",
    "",
    "{",
    '{"answer": 42}',
    '{ "tool',
    '  {"tool_callers"',
    "é\n\n🙂",
    f"So: {NOW}",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_model_may_answer_in_text_where_it_has_the_choice(text: str) -> None:
    assert fits(AUTO, text)
    assert not fits(REQUIRED, text)


@pytest.mark.parametrize(
    "text", ['{"tool_calls":{', '{"tool_calls":[]', '{ "tool_calls" : 1', '\n{"tool_calls"}']
)
def test_text_does_not_begin_like_calls(text: str) -> None:
    assert begins(AUTO, text) is None


def test_a_call_may_be_begun_with_white_space() -> None:
    assert fits(AUTO, '\n{\n  "tool_calls": [' + NOW.removeprefix('{"tool_calls":['))


@pytest.mark.parametrize("grammar", [AUTO, REQUIRED])
@pytest.mark.parametrize("text", [PARIS[:-1], PARIS + " ", PARIS + PARIS])
def test_nothing_is_missing_and_nothing_follows(grammar: Grammar, text: str) -> None:
    assert not fits(grammar, text)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"city": 1},
        {"city": "Paris", "days": 0},
        {"city": "Paris", "unit": "C"},
        "Paris",
    ],
)
def test_arguments_follow_the_schema(arguments: Any) -> None:
    assert takes(WEATHER, {"city": "Paris"})
    assert not takes(WEATHER, arguments)


def test_a_tool_without_parameters_takes_none() -> None:
    assert takes(CLOCK, {})
    assert not takes(CLOCK, {"zone": "UTC"})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"additionalProperties": {"type": "integer"}},
    ],
)
def test_an_object_may_be_left_open(schema: dict[str, Any]) -> None:
    assert takes(Tool(name="f", parameters=schema), {"any": 1})


def test_only_tools_that_are_there_can_be_called() -> None:
    assert begins(REQUIRED, '{"tool_calls":[{"name":"get_w') is not None
    assert begins(REQUIRED, '{"tool_calls":[{"name":"get_s') is None
    assert not fits(one(CLOCK), PARIS)


def test_calls_come_singly_where_they_must() -> None:
    single = call_grammar(TOOLS, ToolChoice(mode=ChoiceMode.REQUIRED, parallel=False))
    assert fits(single, PARIS)
    assert begins(single, PARIS[:-2] + ",") is None
    assert not fits(one(CLOCK), NOW[:-2] + "," + NOW.removeprefix('{"tool_calls":['))


def test_calls_end_at_some_number() -> None:
    call = ToolCall(id="", name=CLOCK.name, arguments="{}")
    assert fits(REQUIRED, written([call] * MAX_CALLS))
    assert not fits(REQUIRED, written([call] * (MAX_CALLS + 1)))


UNENFORCED = [
    {"type": "string", "format": "phone"},
    {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    {"type": "object", "propertyNames": {"pattern": "^a"}},
    {"oneOf": [{"type": "string"}, {"type": "string", "maxLength": 3}]},
    {"not": {"const": 1}},
]


@pytest.mark.parametrize("schema", UNENFORCED)
def test_what_cannot_be_enforced_is_left_to_the_model_unless_it_is_strict(
    schema: dict[str, Any],
) -> None:
    parameters = {"type": "object", "properties": {"format": {"type": "object"}, "x": schema}}
    loose = Tool(name="f", parameters=parameters)
    assert (
        begins(one(loose), '{"tool_calls":[{"name":"f","arguments":{"format":{},"x":') is not None
    )
    with pytest.raises(InvalidRequest) as refusal:
        begins(one(Tool(name="f", parameters=parameters, strict=True)), "")
    assert refusal.value.code == "invalid_grammar"


@pytest.mark.parametrize(
    "properties",
    [{"x": {"type": "text"}}, {"x": {"$ref": "#/nowhere"}}, {"x": {"pattern": "("}}, 3],
)
def test_a_schema_that_is_none_is_refused(properties: Any) -> None:
    tool = Tool(name="f", parameters={"type": "object", "properties": properties})
    with pytest.raises(InvalidRequest) as refusal:
        begins(one(tool), "")
    assert refusal.value.code == "invalid_grammar"
