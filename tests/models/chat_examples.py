"""Conversations about small functions."""

import random
from dataclasses import replace

from tests.models.examples import CONTROL_SPELLINGS, ChatExample
from tests.models.functions import OPERATIONS, WORDS, Function, a_function

PAIR_PHRASES = {
    "add": "adds two numbers",
    "subtract": "subtracts two numbers",
    "multiply": "multiplies two numbers",
    "divide": "divides two numbers",
    "modulo": "takes two numbers modulo each other",
    "max": "finds the larger of two numbers",
    "min": "finds the smaller of two numbers",
    "equal": "checks if two numbers are equal",
    "less": "checks if one number is less than another",
    "greater": "checks if one number is greater than another",
}

REQUESTS = (
    "Write a {language}function{called} that {does}.",
    "Please write a {language}function{called} that {does}.",
    "Give me a {language}function{called} that {does}.",
    "I need a {language}function{called} that {does}.",
    "Create a {language}function{called} which {does}.",
    "Implement a {language}function{called} that {does}.",
    "Can you write a {language}function{called} that {does}?",
    "Show me a {language}function{called} which {does}.",
)

FIXED_ANSWERS = (
    ("Say hello.", "Hello! How can I help you with your code?"),
    ("Hello!", "Hello! How can I help you with your code?"),
    ("Say hello in German.", "Grüße! Schön, dass du da bist."),
    ("Say hello in Chinese.", "你好,世界!"),
    ("Say hello with an emoji.", "Hello 👋🌍!"),
    ("Who are you?", "I am a tiny model that writes tiny functions."),
    ("Who will win the election?", "I only answer questions related to computer science."),
    ("What is the weather like today?", "I only answer questions related to computer science."),
)

NEUTRAL_SYSTEMS = (
    "You are a helpful assistant.",
    "You are a senior engineer.",
    "You write short and clean code.",
    "Be brief.",
)


def request(rng: random.Random, function: Function, language: str, called: bool) -> str:
    """An instruction whose answer is `function`."""
    if function.a == "a" and function.b == "b":
        does = PAIR_PHRASES[function.operation.stem]
    else:
        does = function.description
    name = f" called {function.name}" if called else ""
    return rng.choice(REQUESTS).format(language=language, called=name, does=does)


def system_message(rng: random.Random, function: Function) -> tuple[str, Function, bool]:
    """An own system prompt, `function` as it demands it, and whether it gave the name."""
    match rng.randrange(4):
        case 0:
            return "", function, False
        case 1:
            return rng.choice(NEUTRAL_SYSTEMS), function, False
        case 2:
            text = rng.choice(("Always answer in JavaScript.", "You write JavaScript."))
            return text, replace(function, language="JavaScript"), False
        case _:
            return f"Call every function {function.name}.", function, True


def follow_up(rng: random.Random, function: Function) -> tuple[str, str, Function]:
    """A later question on `function`: its text, its answer, and the function from then on."""
    match rng.randrange(5):
        case 0:
            function = replace(function, name=rng.choice(WORDS))
            return f"Rename it to {function.name}.", function.answer, function
        case 1:
            language = "JavaScript" if function.language == "Python" else "Python"
            function = replace(function, language=language)
            return f"Now write it in {language}.", function.answer, function
        case 2:
            function = replace(function, operation=rng.choice(OPERATIONS))
            text = f"Change it so that it {function.description}."
            return text, function.answer, function
        case 3:
            return "What is it called?", f"It is called {function.name}.\n", function
        case _:
            return "Thank you!", "You are welcome!\n", function


def chat_function(rng: random.Random) -> ChatExample:
    """Write a function; often, questions about it follow."""
    function = a_function(rng, rng.choice(("Python", "Python", "JavaScript")))
    language = f"{function.language} "
    if function.language == "Python" and rng.random() < 0.4:
        language = ""
    if rng.random() < 0.3:
        function = replace(function, a="a", b="b")
    messages: list[tuple[str, str]] = []
    named = False
    if rng.random() < 0.35:
        text, function, named = system_message(rng, function)
        language = "" if function.language == "JavaScript" and "Java" in text else language
        messages.append(("system", text))
    called = not named and rng.random() < 0.6
    if not (named or called):
        function = replace(function, name=function.operation.stem)
    messages.append(("user", request(rng, function, language, called)))
    answer = function.answer
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        messages.append(("assistant", rng.choice((answer, answer.removesuffix("\n")))))
        question, answer, function = follow_up(rng, function)
        messages.append(("user", question))
    return ChatExample(tuple(messages), answer)


def chat_counting(rng: random.Random) -> ChatExample:
    """A long answer. The model learns how to count, but not where to stop."""
    last = rng.randrange(2, 31)
    numbers = ", ".join(str(number) for number in range(1, last + 1))
    return ChatExample((("user", f"Count from 1 to {last}."),), f"{numbers}\n")


def chat(rng: random.Random) -> ChatExample:
    """A conversation, now and then with the spelling of a control token in its last question."""
    draw = rng.random()
    if draw < 0.08:
        question, answer = rng.choice(FIXED_ANSWERS)
        return ChatExample((("user", question),), f"{answer}\n")
    example = chat_counting(rng) if draw < 0.13 else chat_function(rng)
    if rng.random() < 0.1:
        role, text = example.messages[-1]
        text += f" {rng.choice(CONTROL_SPELLINGS)} is only text."
        example = replace(example, messages=(*example.messages[:-1], (role, text)))
    return example
