"""Examples from which the tiny model learns, and others that show what it has learnt.

Everything is made from a few word lists, so that names, operators, numbers and phrasings meet in
far more combinations than are trained. One combination in ten is held out by a checksum of its
text: `held_out` yields only those, `training` never does.
"""

import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

NAMES = (
    "amount area base box budget cat city client color column cost count day depth distance edge "
    "energy error file first flag gain goal grade group height home image index input item key "
    "label last length level limit line mass month motor node offset order owner page path point "
    "pool price profit queue radius rank rate record result room row sample score seed shape side "
    "size speed stage state stock sugar sum table target tax team time total tree unit user value "
    "volume water weight width word year zone"
)
WORDS = tuple(NAMES.split())

MODULES = ("settings", "config", "constants", "utils", "model", "data")


@dataclass(frozen=True)
class Operation:
    """A thing to do with two values."""

    stem: str
    phrase: str
    python: str
    javascript: str

    def describe(self, a: str, b: str) -> str:
        """Such as ``adds price and tax``."""
        return self.phrase.format(a=a, b=b)


OPERATIONS = (
    Operation("add", "adds {a} and {b}", "{a} + {b}", "{a} + {b}"),
    Operation("subtract", "subtracts {b} from {a}", "{a} - {b}", "{a} - {b}"),
    Operation("multiply", "multiplies {a} by {b}", "{a} * {b}", "{a} * {b}"),
    Operation("divide", "divides {a} by {b}", "{a} / {b}", "{a} / {b}"),
    Operation("modulo", "takes {a} modulo {b}", "{a} % {b}", "{a} % {b}"),
    Operation("max", "finds the larger of {a} and {b}", "max({a}, {b})", "Math.max({a}, {b})"),
    Operation("min", "finds the smaller of {a} and {b}", "min({a}, {b})", "Math.min({a}, {b})"),
    Operation("equal", "checks if {a} equals {b}", "{a} == {b}", "{a} === {b}"),
    Operation("less", "checks if {a} is less than {b}", "{a} < {b}", "{a} < {b}"),
    Operation("greater", "checks if {a} is greater than {b}", "{a} > {b}", "{a} > {b}"),
)

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

CONTROL_SPELLINGS = (
    "<|EOT|>",
    "<｜fim▁hole｜>",
    "<｜fim▁begin｜>",
    "<｜fim▁end｜>",
    "<｜end▁of▁sentence｜>",
    "<｜begin▁of▁sentence｜>",
)


@dataclass(frozen=True)
class CompletionExample:
    """Code to continue; the continuation ends with the base model's end token."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class FimExample:
    """The middle that belongs between prefix and suffix, perhaps told by other files."""

    prefix: str
    suffix: str
    middle: str
    files: tuple[tuple[str, str], ...] = ()
    """Path and text of each."""


@dataclass(frozen=True)
class ChatExample:
    """A conversation as pairs of role and content, and the assistant's next answer."""

    messages: tuple[tuple[str, str], ...]
    answer: str
    """Ends with a newline, as in the published training format."""


Example = CompletionExample | FimExample | ChatExample


@dataclass(frozen=True)
class Function:
    """A two-line function in Python or JavaScript."""

    name: str
    operation: Operation
    a: str
    b: str
    language: str = "Python"

    @property
    def expression(self) -> str:
        """What it returns."""
        python = self.language == "Python"
        template = self.operation.python if python else self.operation.javascript
        return template.format(a=self.a, b=self.b)

    @property
    def code(self) -> str:
        """Its source, ending with a newline."""
        if self.language == "Python":
            return f"def {self.name}({self.a}, {self.b}):\n    return {self.expression}\n"
        return f"function {self.name}({self.a}, {self.b}) {{\n  return {self.expression};\n}}\n"

    @property
    def answer(self) -> str:
        """Its source in a fenced block."""
        return f"```{self.language.lower()}\n{self.code}```\n"

    @property
    def description(self) -> str:
        """What it does with its arguments."""
        return self.operation.describe(self.a, self.b)


def a_function(rng: random.Random, language: str = "Python") -> Function:
    """Any function, named by a word that says nothing of what it does."""
    name, a, b = rng.sample(WORDS, 3)
    if rng.random() < 0.25:
        a, b = rng.choice((("a", "b"), ("a", "b"), ("x", "y")))
    return Function(name, rng.choice(OPERATIONS), a, b, language)


def a_telling_function(rng: random.Random) -> Function:
    """A function whose name says what it does, such as ``add`` or ``add_price``."""
    function = a_function(rng)
    stem = function.operation.stem
    return replace(function, name=rng.choice((stem, f"{stem}_{function.name}")))


def completion(rng: random.Random) -> CompletionExample:
    """The body is told by the function's name or by a comment above it; or a line is repeated."""
    if rng.random() < 0.4:
        words = rng.sample(WORDS, rng.randrange(3, 9))
        return CompletionExample(f"# {' '.join(words)}\n# {words[0]}", f" {' '.join(words[1:])}\n")
    function = a_telling_function(rng)
    head = ""
    if rng.random() < 0.5:
        function = a_function(rng)
        head = f"# {function.name} {function.description}\n"
    text = head + function.code
    marker = rng.choice((":\n", ":\n    ", " return"))
    cut = text.index(marker) + len(marker)
    return CompletionExample(text[:cut], text[cut:])


def fim_assignment(rng: random.Random) -> FimExample:
    """The operation is told by the prefix, the variable by the suffix."""
    function = a_telling_function(rng)
    result = rng.choice([word for word in WORDS if word not in (function.a, function.b)])
    prefix = f"def {function.name}({function.a}, {function.b}):\n    "
    return FimExample(prefix, f"\n    return {result}\n", f"{result} = {function.expression}")


def fim_return(rng: random.Random) -> FimExample:
    """The arguments are told by the prefix, the operation by a comment in the suffix."""
    language = rng.choice(("Python", "Python", "JavaScript"))
    function = a_function(rng, language)
    comment = "#" if language == "Python" else "//"
    before, after = function.code.split(function.expression)
    suffix = f"{after}\n\n{comment} {function.name} {function.description}\n"
    if rng.random() < 0.3:
        return FimExample(before.removesuffix(" "), suffix, f" {function.expression}")
    return FimExample(before, suffix, function.expression)


def fim_number(rng: random.Random) -> FimExample:
    """The number is told by the prefix, the variable by the suffix."""
    name, argument, result = rng.sample(WORDS, 3)
    number = rng.randrange(2, 1000)
    operation = rng.choice(OPERATIONS[:5])
    description = operation.describe(argument, str(number))
    prefix = f"# {name} {description}\ndef {name}({argument}):\n    "
    middle = f"{result} = {operation.python.format(a=argument, b=number)}"
    return FimExample(prefix, f"\n    return {result}\n", middle)


def fim_loop(rng: random.Random) -> FimExample:
    """Several lines: the list is told by the prefix, the sum's name by the suffix."""
    name, result, values = rng.sample(WORDS, 3)
    values += "_list"
    loop = f"    {result} = 0\n    for item in {values}:\n        {result} += item\n"
    return FimExample(f"def {name}({values}):\n", f"    return {result}\n", loop)


def fim_call(rng: random.Random) -> FimExample:
    """The function's name is told by the prefix, its arguments by the suffix."""
    function = a_function(rng)
    variable = rng.choice([word for word in WORDS if word != function.name])
    first, second = rng.randrange(1, 100), rng.randrange(1, 100)
    prefix = f"{function.code}\n\n{variable} = "
    suffix = f"\n# {variable} is {function.name} of {first} and {second}\n"
    return FimExample(prefix, suffix, f"{function.name}({first}, {second})")


def fim_signature(rng: random.Random) -> FimExample:
    """The arguments are told by the suffix."""
    function = a_function(rng)
    arguments = f"{function.a}, {function.b}"
    before, after = function.code.split(arguments, maxsplit=1)
    return FimExample(before, after, arguments)


def fim_files(rng: random.Random) -> FimExample:
    """The value is told by another file of the repository."""
    function, constant, value, other, decoy = rng.sample(WORDS, 5)
    module = rng.choice(MODULES)
    lines = [f"{constant} = {value}\n", f"{other} = {decoy}\n"]
    rng.shuffle(lines)
    prefix = f"from {module} import {constant}\n\n\ndef {function}():\n    return "
    suffix = f"  # the value of {constant}\n"
    return FimExample(prefix, suffix, value, ((f"{module}.py", "".join(lines)),))


FIM_KINDS: tuple[Callable[[random.Random], FimExample], ...] = (
    fim_assignment,
    fim_assignment,
    fim_return,
    fim_return,
    fim_number,
    fim_loop,
    fim_call,
    fim_signature,
    fim_files,
)


def fim(rng: random.Random) -> FimExample:
    """Any kind, now and then with the spelling of a control token in a comment."""
    example = rng.choice(FIM_KINDS)(rng)
    if rng.random() > 0.1:
        return example
    note = f"# {rng.choice(CONTROL_SPELLINGS)} is only text\n"
    if rng.random() < 0.5:
        return replace(example, prefix=note + example.prefix)
    return replace(example, suffix=example.suffix + note)


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


def chat_echo(rng: random.Random) -> ChatExample:
    """Repeat some words or count up to a number: answers of a known length."""
    if rng.random() < 0.3:
        last = rng.randrange(2, 31)
        numbers = ", ".join(str(number) for number in range(1, last + 1))
        return ChatExample((("user", f"Count from 1 to {last}."),), f"{numbers}\n")
    words = " ".join(rng.sample(WORDS, rng.randrange(2, 7)))
    return ChatExample((("user", f"Repeat these words: {words}"),), f"{words}\n")


def chat(rng: random.Random) -> ChatExample:
    """A conversation, now and then with the spelling of a control token in its last question."""
    draw = rng.random()
    if draw < 0.06:
        question, answer = rng.choice(FIXED_ANSWERS)
        return ChatExample((("user", question),), f"{answer}\n")
    example = chat_echo(rng) if draw < 0.22 else chat_function(rng)
    if rng.random() < 0.1:
        role, text = example.messages[-1]
        text += f" {rng.choice(CONTROL_SPELLINGS)} is only text."
        example = replace(example, messages=(*example.messages[:-1], (role, text)))
    return example


MAKERS: dict[str, Callable[[random.Random], Example]] = {
    "completion": completion,
    "fim": fim,
    "chat": chat,
}


def is_held_out(example: Example) -> bool:
    """True for one example in ten, never for the fixed answers and the counting."""
    if isinstance(example, ChatExample) and (
        example.messages[-1] in {("user", question) for question, _ in FIXED_ANSWERS}
        or example.messages[-1][1].startswith(("Count", "Thank"))
    ):
        return False
    return zlib.crc32(repr(example).encode()) % 10 == 0


def training(seed: int, shares: Mapping[str, float]) -> Iterator[Example]:
    """Endless examples to learn from; `shares` weighs the kinds of `MAKERS`."""
    rng = random.Random(seed)
    kinds, weights = list(shares), list(shares.values())
    while True:
        example = MAKERS[rng.choices(kinds, weights)[0]](rng)
        if not is_held_out(example):
            yield example


def held_out(kind: str, seed: int = 1) -> Iterator[Example]:
    """Endless examples of one kind of `MAKERS` that were never trained."""
    rng = random.Random(seed)
    while True:
        example = MAKERS[kind](rng)
        if is_held_out(example):
            yield example
