"""Chat templates in the Jinja dialect of Hugging Face, in a sandbox."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import Extension
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from codeserve.model_specs.errors import PromptError, SpecError

RENDER_ERRORS = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a template can raise through its own expressions."""


class ChatTemplate:
    """One compiled template.

    The dialect is that of ``apply_chat_template`` in Transformers: trimmed blocks, loop controls,
    ``raise_exception``, ``strftime_now``, a ``tojson`` that escapes no HTML, and ``generation``
    blocks, which render as what they enclose.
    """

    def __init__(self, source: str) -> None:
        """Raises SpecError if ``source`` is not a template."""
        self.source = source
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _GenerationBlock],
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _strftime_now
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise SpecError(f"the chat template is not valid Jinja: {error}") from error

    def render(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        bos_token: str,
        eos_token: str,
        add_generation_prompt: bool,
    ) -> str:
        """The prompt's text, control tokens spelled out.

        Raises:
            PromptError: the template refuses the conversation or fails on it.
        """
        try:
            return self._template.render(
                messages=messages,
                tools=None,
                documents=None,
                bos_token=bos_token,
                eos_token=eos_token,
                add_generation_prompt=add_generation_prompt,
            )
        except RENDER_ERRORS as error:
            raise PromptError(
                f"The model's chat template refuses this conversation: {error}", param="messages"
            ) from error


class _GenerationBlock(Extension):
    """``{% generation %}`` marks the assistant's part for training; serving ignores the mark."""

    tags = {"generation"}  # noqa: RUF012 - declared so by Jinja

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(layout: str) -> str:
    return datetime.now().strftime(layout)
