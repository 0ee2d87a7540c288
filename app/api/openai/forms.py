"""Request fields that prescribe the form of the output: five dialects, one grammar."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from codeserve.app.api.generation import output_form
from codeserve.app.api.openai.base_body import Body
from codeserve.app.api.openai.unsupported import STRUCTURED_OUTPUTS, refuse_unsupported
from codeserve.app.edge.validation import json_type
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import Grammar

Form = tuple[str, Grammar]
"""The field that prescribes a form, and the form."""


def _json_schema(value: Any) -> Grammar | None:
    """What a JSON schema prescribes; older clients of vLLM send it as JSON text."""
    try:
        schema = json.loads(value) if isinstance(value, str) else value
        if schema is None:
            return None
        if isinstance(schema, dict | bool):
            return output_form.json_schema(schema)
    except (ValueError, RecursionError, InvalidRequest) as error:
        raise PydanticCustomError("invalid_value", "{error}", {"error": str(error)}) from error
    raise PydanticCustomError(
        "invalid_type",
        "expected a JSON schema (an object or a boolean), but it is {actual}.",
        {"actual": json_type(schema)},
    )


JsonSchema = Annotated[
    Grammar | None,
    PlainValidator(_json_schema, json_schema_input_type=dict[str, Any] | bool | str | None),
]
"""A JSON schema, as an object, as a boolean or as JSON text: the grammar that it means."""


class JsonSchemaFormat(Body):
    """OpenAI's named schema."""

    name: str | None = None
    schema_: Annotated[JsonSchema, Field(alias="schema")] = None
    strict: bool | None = None
    """Ignored: a schema is always kept."""


class ResponseFormat(Body):
    """OpenAI's ``response_format``, with llama.cpp's ``schema`` beside ``type``."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None
    schema_: Annotated[JsonSchema, Field(alias="schema")] = None


class StructuredOutputs(Body):
    """vLLM's ``structured_outputs``: exactly one of these."""

    json_: Annotated[JsonSchema, Field(alias="json")] = None
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    """Lark or GBNF."""
    json_object: bool | None = None


class FormFields(Body):
    """Every field that prescribes the form of the output."""

    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: JsonSchema = None
    """vLLM's older names of ``structured_outputs``, up to ``guided_json_object``."""
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    guided_grammar: str | None = None
    guided_json_object: bool | None = None
    grammar: str | None = None
    """llama.cpp's grammar, in GBNF."""
    json_schema: JsonSchema = None
    """llama.cpp's name of a JSON schema."""


def output_grammar(fields: FormFields) -> Grammar | None:
    """The one form that ``fields`` prescribe; None: any text.

    Raises InvalidRequest for two different forms, and UnsupportedFeature.
    """
    forms = dict(_forms(fields))
    if len(set(forms.values())) > 1:
        first, second = list(forms)[:2]
        raise InvalidRequest(
            f"'{first}' and '{second}' prescribe different forms of the output; send one of them.",
            param=second,
            code="invalid_value",
        )
    return next(iter(forms.values()), None)


def naming_form(fields: FormFields) -> AbstractContextManager[None]:
    """Names the field that prescribes the form in an engine's refusal of it, which cannot know."""
    return output_form.prescribed_by(next((name for name, _ in _forms(fields)), None))


def _forms(fields: FormFields) -> Iterator[Form]:
    """Every form that is prescribed; an empty text or list prescribes none."""
    if fields.response_format is not None:
        yield from _of_response_format(fields.response_format)
    if fields.structured_outputs is not None:
        yield from _of_structured_outputs(fields.structured_outputs)
    guided = StructuredOutputs.model_construct(
        json_=fields.guided_json,
        regex=fields.guided_regex,
        choice=fields.guided_choice,
        grammar=fields.guided_grammar,
        json_object=fields.guided_json_object,
    )
    yield from _of_kinds(guided, "guided_")
    if fields.grammar:
        yield "grammar", output_form.gbnf(fields.grammar)
    if fields.json_schema is not None:
        yield "json_schema", fields.json_schema


def _of_response_format(response_format: ResponseFormat) -> Iterator[Form]:
    if response_format.type == "text":
        return
    named = response_format.json_schema
    schema = response_format.schema_
    if response_format.type == "json_schema" and named is not None and named.schema_ is not None:
        schema = named.schema_
    if schema is not None:
        yield "response_format", schema
    elif response_format.type == "json_object":
        yield "response_format", output_form.json_object()
    else:
        missing = "json_schema" if named is None else "json_schema.schema"
        raise InvalidRequest(
            f"Missing required parameter: 'response_format.{missing}'.",
            param=f"response_format.{missing}",
            code="missing_required_parameter",
        )


def _of_structured_outputs(structured: StructuredOutputs) -> Iterator[Form]:
    refuse_unsupported(
        structured.model_extra or {}, STRUCTURED_OUTPUTS, within="structured_outputs."
    )
    forms = list(_of_kinds(structured, "structured_outputs."))
    if not forms:
        raise InvalidRequest(
            "Invalid 'structured_outputs': it prescribes no form; it takes one of 'json', 'regex', "
            "'choice', 'grammar' and 'json_object'.",
            param="structured_outputs",
            code="invalid_value",
        )
    yield from forms


def _of_kinds(asked: StructuredOutputs, prefix: str) -> Iterator[Form]:
    """The forms of vLLM's fields, whose names begin with ``prefix``."""
    if asked.json_ is not None:
        yield f"{prefix}json", asked.json_
    if asked.regex:
        yield f"{prefix}regex", output_form.regex(asked.regex)
    if asked.choice:
        yield f"{prefix}choice", output_form.choice(asked.choice)
    if asked.grammar:
        yield f"{prefix}grammar", output_form.grammar(asked.grammar)
    if asked.json_object:
        yield f"{prefix}json_object", output_form.json_object()
