"""Small functions that the tiny model reads and writes."""

import random
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
