import json
from typing import Any

import pytest

from codeserve.app.api.tools.conversation import Turn
from codeserve.app.api.tools.tool import ChoiceMode, Tool, ToolCall, ToolChoice
from codeserve.app.api.tools.toolbox import Toolbox
from codeserve.engines.errors import InvalidRequest, UnsupportedFeature
from codeserve.engines.types import Grammar, GrammarKind

F = Tool(name="f", description="Does «f».", parameters={"type": "object"})
G = Tool(name="g")
BOTH = Toolbox((F, G))
FORM = Grammar(GrammarKind.REGEX, "a+")

USER = Turn(role="user", text="U")


def call(call_id: str, name: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=arguments)


def asked(*calls: ToolCall, text: str = "") -> Turn:
    return Turn(role="assistant", text=text, tool_calls=calls)


def result(call_id: str | None, text: str, name: str | None = None) -> Turn:
    return Turn(role="tool", text=text, tool_call_id=call_id, name=name)


def said(*turns: Turn) -> list[tuple[str, str]]:
    """The messages without tools to offer."""
    return [(message["role"], message["content"]) for message in Toolbox().messages(turns)]


class TestOffer:
    def test_every_tool_is_shown_as_json(self) -> None:
        lines = BOTH.instructions.splitlines()
        shown = [json.loads(line) for line in lines if line.startswith('{"name"')]
        assert shown == [
            {"name": "f", "description": "Does «f».", "parameters": {"type": "object"}},
            {"name": "g"},
        ]
        assert '{"tool_calls":[{"name":' in BOTH.instructions

    def test_the_text_is_the_same_for_every_choice_that_allows_calls(self) -> None:
        choices = [
            ToolChoice.named("f"),
            ToolChoice(mode=ChoiceMode.REQUIRED),
            ToolChoice(parallel=False),
            ToolChoice(names=frozenset({"g"})),
        ]
        texts = {Toolbox((F, G), choice).instructions for choice in choices}
        assert texts == {BOTH.instructions}

    def test_tools_that_may_not_be_called_are_neither_shown_nor_constrain(self) -> None:
        toolbox = Toolbox((F, G), ToolChoice(mode=ChoiceMode.NONE))
        assert not toolbox.is_open
        assert toolbox.messages([USER]) == [{"role": "user", "content": "U"}]
        assert toolbox.grammar() is None
        assert toolbox.grammar(FORM) == FORM

    def test_the_instructions_follow_the_first_system_message(self) -> None:
        turns = [Turn(role="system", text="S"), USER, Turn(role="system", text="T")]
        messages = BOTH.messages(turns)
        assert messages[0] == {"role": "system", "content": f"S\n\n{BOTH.instructions}"}
        assert messages[2] == {"role": "system", "content": "T"}

    def test_an_empty_system_message_holds_nothing_else(self) -> None:
        system, _ = BOTH.messages([Turn(role="system"), USER])
        assert system["content"] == BOTH.instructions

    def test_without_a_system_message_they_are_one(self) -> None:
        system, user = BOTH.messages([USER])
        assert system == {"role": "system", "content": BOTH.instructions}
        assert user == {"role": "user", "content": "U"}

    @pytest.mark.parametrize("names", [{"f"}, {"g"}])
    def test_a_choice_may_leave_some(self, names: set[str]) -> None:
        toolbox = Toolbox((F, G), ToolChoice(names=frozenset(names)))
        assert {tool.name for tool in toolbox.offered} == names

    def test_a_form_of_text_yields_to_a_call_that_is_required(self) -> None:
        required = Toolbox((F,), ToolChoice.named("f"))
        assert required.grammar(FORM) == required.grammar()
        with pytest.raises(InvalidRequest, match="cannot stand beside tools"):
            Toolbox((F,)).grammar(FORM)


class TestRefusals:
    def test_a_name_is_one_word(self) -> None:
        for name in ("", "a b", 'a"b', "é", "a" * 129):
            with pytest.raises(InvalidRequest, match="Invalid name") as refusal:
                Tool(name=name)
            assert refusal.value.param == "tools"

    @pytest.mark.parametrize("kind", ["string", ["object", "null"], None, 3])
    def test_arguments_are_an_object(self, kind: Any) -> None:
        with pytest.raises(InvalidRequest, match="of type 'object'"):
            Tool(name="f", parameters={"type": kind})

    def test_two_tools_cannot_share_a_name(self) -> None:
        with pytest.raises(InvalidRequest, match="2 tools are called 'f'"):
            Toolbox((F, F))

    def test_what_is_not_there_cannot_be_chosen(self) -> None:
        with pytest.raises(InvalidRequest, match="no tool 'h'") as refusal:
            Toolbox((F, G), ToolChoice.named("h"))
        assert refusal.value.param == "tool_choice"

    def test_a_refused_grammar_is_the_fault_of_the_tools(self) -> None:
        with pytest.raises(InvalidRequest, match="no such type") as refusal, BOTH.blamed():
            raise InvalidRequest("no such type", code="invalid_grammar")
        assert (refusal.value.param, refusal.value.code) == ("tools", "invalid_grammar")

    def test_an_engine_without_grammars_cannot_be_offered_tools(self) -> None:
        with pytest.raises(UnsupportedFeature) as refusal, BOTH.blamed():
            raise UnsupportedFeature("no forms here")
        assert refusal.value.param == "tools"

    def test_another_refusal_is_not(self) -> None:
        with pytest.raises(InvalidRequest) as refusal, BOTH.blamed():
            raise InvalidRequest("too long", param="messages")
        assert refusal.value.param == "messages"


class TestConversation:
    def test_calls_are_repeated_as_they_were_written(self) -> None:
        calls = asked(call("1", "f", '{"a": [1,2]}'), call("2", "g", ""))
        first, second = '{"name":"f","arguments":{"a": [1,2]}}', '{"name":"g","arguments":{}}'
        assert said(USER, calls) == [
            ("user", "U"),
            ("assistant", f'{{"tool_calls":[{first},{second}]}}'),
        ]

    def test_text_beside_calls_stays(self) -> None:
        turn = asked(call("1", "g"), text="I look.")
        assert said(turn) == [
            ("assistant", 'I look.\n{"tool_calls":[{"name":"g","arguments":{}}]}')
        ]

    def test_arguments_that_are_no_json_are_a_string(self) -> None:
        ((_, text),) = said(asked(call("1", "g", "{cut")))
        assert json.loads(text)["tool_calls"][0]["arguments"] == "{cut"

    def test_results_that_follow_one_another_are_one_users_turn(self) -> None:
        turns = [USER, asked(call("1", "f"), call("2", "g")), result("2", "B"), result("1", "A")]
        after = [Turn(role="user", text="V"), Turn(role="user", text="W")]
        assert said(*turns, *after)[2:] == [
            ("user", "Result of g:\nB\n\nResult of f:\nA\n\nV"),
            ("user", "W"),
        ]

    def test_a_result_without_id_belongs_to_the_call_of_its_name(self) -> None:
        calls = asked(call("", "f"), call("", "g"))
        assert said(calls, result(None, "B", "g"), result(None, "A", "f"))[1:] == [
            ("user", "Result of g:\nB\n\nResult of f:\nA"),
        ]

    def test_a_result_without_name_belongs_to_the_call_of_its_place(self) -> None:
        first, second = asked(call("", "f"), call("", "g")), asked(call("", "g"))
        turns = [first, result(None, "A"), result(None, "B"), second, result(None, "C")]
        texts = [text for role, text in said(*turns) if role == "user"]
        assert texts == ["Result of f:\nA\n\nResult of g:\nB", "Result of g:\nC"]

    def test_a_name_that_other_tools_have_is_shown_as_it_is(self) -> None:
        ((_, text),) = said(asked(call("1", 'a "b"\n')))
        assert json.loads(text)["tool_calls"][0]["name"] == 'a "b"\n'

    @pytest.mark.parametrize(
        ("turn", "named"),
        [
            (result("9", "x"), "for call '9'"),
            (result(None, "x", "h"), "of 'h'"),
            (result(None, "x"), "without an id"),
        ],
    )
    def test_a_result_without_a_call_is_refused_by_name(self, turn: Turn, named: str) -> None:
        with pytest.raises(InvalidRequest, match=named) as refusal:
            Toolbox().messages([USER, turn], param="input")
        assert refusal.value.param == "input"

    def test_a_result_cannot_come_before_its_call(self) -> None:
        with pytest.raises(InvalidRequest, match="for call '1'"):
            said(result("1", "x"), asked(call("1", "f")))
