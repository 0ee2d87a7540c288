"""What clients ask, with the answers that the models of the server are sure of."""

from typing import Any, Literal

from pydantic import BaseModel

GREETING = "Say hello with an emoji."
HELLO = "Hello 👋🌍!\n"
"""The tiny model's answer: characters of several tokens each, and a newline."""
GREETING_TURN: list[dict[str, Any]] = [{"role": "user", "content": GREETING}]

HEAD = "def add(a, b):\n"
BODY = "    return a + b\n"

PREFIX = "def add(a, b):\n    "
SUFFIX = "\n    return value\n"
MIDDLE = "value = a + b"

QUESTION = "What is the weather in Paris, in celsius?"


class Place(BaseModel):
    """Where to look for the weather; only short texts match it."""

    city: Literal["Paris", "Rome"]
    unit: Literal["celsius", "fahrenheit"]


WEATHER = "get_weather"
WEATHER_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": WEATHER,
        "description": "The current weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Paris", "Rome"]},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
