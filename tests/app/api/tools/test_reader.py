import json

import pytest

from codeserve.app.api.tools.call_form import written
from codeserve.app.api.tools.reader import ArgumentsPiece, CallBegun, TextPiece, ToolCallReader
from codeserve.app.api.tools.tool import ToolCall

TWO = (
    '{"tool_calls":[{"name":"f","arguments":{"a":"}\\"{é","b":[{}]}},{"name":"g","arguments":{}}]}'
)


def read(text: str, step: int) -> tuple[str, list[ToolCall], ToolCallReader]:
    """The text and the calls of an answer that comes in pieces of ``step`` characters."""
    reader, shown, calls = ToolCallReader(), "", list[ToolCall]()
    pieces = [piece for at in range(0, len(text), step) for piece in reader.feed(text[at:][:step])]
    for piece in [*pieces, *reader.finish()]:
        match piece:
            case TextPiece():
                shown += piece.text
            case CallBegun():
                assert piece.index == len(calls)
                calls.append(ToolCall(id=piece.id, name=piece.name, arguments=""))
            case ArgumentsPiece():
                last = calls[piece.index]
                calls[piece.index] = ToolCall(
                    id=last.id, name=last.name, arguments=last.arguments + piece.text
                )
    return shown, calls, reader


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_calls_are_read_however_they_come(step: int) -> None:
    shown, calls, reader = read(TWO, step)
    assert shown == ""
    assert [(call.name, call.arguments) for call in calls] == [
        ("f", '{"a":"}\\"{é","b":[{}]}'),
        ("g", "{}"),
    ]
    assert len({call.id for call in calls}) == 2
    assert all(call.id.startswith("call_") for call in calls)
    assert reader.is_complete


@pytest.mark.parametrize("step", [1, 5, 1000])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello {",
        "{",
        '{"tool_calls',
        '{"tool_callers": []}',
        '{"a": {"tool_calls":[]}}',
        f"Say {TWO}",
        "  \n",
    ],
)
def test_text_is_text(text: str, step: int) -> None:
    shown, calls, reader = read(text, step)
    assert (shown, calls) == (text, [])
    assert not reader.is_complete


def test_white_space_between_the_parts_is_allowed() -> None:
    spaced = json.dumps(json.loads(TWO), indent=2)
    _, calls, reader = read(spaced, 1)
    assert [call.name for call in calls] == ["f", "g"]
    assert [json.loads(call.arguments) for call in calls] == [
        {"a": '}"{é', "b": [{}]},
        {},
    ]
    assert reader.is_complete


def test_arguments_are_passed_on_as_they_come() -> None:
    reader = ToolCallReader()
    begun, first = reader.feed('{"tool_calls":[{"name":"f","arguments":{"pa')
    assert isinstance(begun, CallBegun)
    assert first == ArgumentsPiece(0, '{"pa')
    assert reader.feed("th") == [ArgumentsPiece(0, "th")]


@pytest.mark.parametrize("end", range(len('{"tool_calls":['), len(TWO)))
def test_an_answer_that_is_cut_off_leaves_a_call_unfinished(end: int) -> None:
    shown, calls, reader = read(TWO[:end], 4)
    assert shown == ""
    assert "".join(call.arguments for call in calls) in TWO.replace(
        '}},{"name":"g","arguments":', "}"
    )
    assert not reader.is_complete


def test_what_follows_the_calls_is_text() -> None:
    shown, calls, _ = read(f"{TWO} and more", 3)
    assert (shown, len(calls)) == (" and more", 2)


def test_what_breaks_the_form_is_text_from_there() -> None:
    shown, calls, reader = read('{"tool_calls":[1, 2]}', 1)
    assert (shown, calls) == ("1, 2]}", [])
    assert not reader.is_complete


def test_what_is_written_is_read() -> None:
    calls = [
        ToolCall(id="1", name="f", arguments='{"a": 1}'),
        ToolCall(id="2", name="g", arguments=""),
    ]
    _, read_calls, _ = read(written(calls), 1)
    assert [(call.name, call.arguments) for call in read_calls] == [("f", '{"a": 1}'), ("g", "{}")]
