"""Code to continue and middles to fill in."""

import random
from collections.abc import Callable
from dataclasses import replace

from tests.models.examples import CONTROL_SPELLINGS, CompletionExample, FimExample
from tests.models.functions import OPERATIONS, WORDS, a_function, a_telling_function

MODULES = ("settings", "config", "constants", "utils", "model", "data")


def completion(rng: random.Random) -> CompletionExample:
    """The body is told by the function's name or by a comment above it."""
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
    number = rng.randrange(2, 10)
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
    first, second = rng.randrange(1, 10), rng.randrange(1, 10)
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
    function, constant, value = rng.sample(WORDS, 3)
    module = rng.choice(MODULES)
    prefix = f"from {module} import {constant}\n\n\ndef {function}():\n    return "
    suffix = f"  # the value of {constant}\n"
    return FimExample(prefix, suffix, value, ((f"{module}.py", f"{constant} = {value}\n"),))


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
    if rng.random() > 0.15:
        return example
    note = f"# {rng.choice(CONTROL_SPELLINGS)} is only text\n"
    if rng.random() < 0.5:
        return replace(example, prefix=note + example.prefix)
    return replace(example, suffix=example.suffix + note)
