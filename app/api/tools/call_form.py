"""How a model writes its calls: ``{"tool_calls":[{"name":"f","arguments":{...}},...]}``.

The grammar, the reader, the instructions and the history of a conversation all keep to it.
"""

import json
from collections.abc import Sequence

from codeserve.app.api.tools.tool import ToolCall

OPENING = ("{", '"tool_calls"', ":", "[")
HEAD = ("{", '"name"', ":", '"')
MIDDLE = (",", '"arguments"', ":")
CLOSING = "]}"
WHITE_SPACE = " \t\r\n"


def written(calls: Sequence[ToolCall]) -> str:
    """``calls`` as the model would have written them."""
    return f"{''.join(OPENING)}{','.join(map(_written_call, calls))}{CLOSING}"


def _written_call(call: ToolCall) -> str:
    arguments = call.arguments.strip() or "{}"
    try:
        json.loads(arguments)
    except ValueError:
        arguments = json.dumps(arguments, ensure_ascii=False)
    name = json.dumps(call.name, ensure_ascii=False).removeprefix('"')
    return f"{''.join(HEAD)}{name}{''.join(MIDDLE)}{arguments}}}"
