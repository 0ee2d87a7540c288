import json
from typing import Any

import httpx
import pytest

from codeserve.app.api.openai.completion_types import CompletionRequest
from codeserve.app.api.openai.forms import naming_form, output_grammar
from codeserve.engines.errors import InvalidRequest, UnsupportedFeature
from codeserve.engines.types import Grammar, GrammarKind

SCHEMA = {"type": "object", "properties": {"b": {"type": "integer"}, "a": True}}
JSON = Grammar(GrammarKind.JSON_SCHEMA, json.dumps(SCHEMA))
ANY_OBJECT = Grammar(GrammarKind.JSON_SCHEMA, '{"type": "object"}')
REGEX = Grammar(GrammarKind.REGEX, "a+")
CHOICE = Grammar(GrammarKind.CHOICE, '["yes", "no"]')
GBNF = Grammar(GrammarKind.GBNF, 'root ::= "a"')
LARK = Grammar(GrammarKind.LARK, 'start: "a"')


def form(**fields: Any) -> Grammar | None:
    return output_grammar(CompletionRequest.model_validate({"model": "m", "prompt": "a", **fields}))


@pytest.mark.parametrize(
    ("fields", "grammar"),
    [
        ({"response_format": {"type": "json_object"}}, ANY_OBJECT),
        ({"response_format": {"type": "json_object", "schema": SCHEMA}}, JSON),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": SCHEMA, "strict": True},
                }
            },
            JSON,
        ),
        ({"response_format": {"type": "json_schema", "schema": SCHEMA}}, JSON),
        ({"structured_outputs": {"json": SCHEMA}}, JSON),
        ({"structured_outputs": {"json": json.dumps(SCHEMA)}}, JSON),
        ({"structured_outputs": {"regex": "a+", "json": None}}, REGEX),
        ({"structured_outputs": {"choice": ["yes", "no"]}}, CHOICE),
        ({"structured_outputs": {"grammar": GBNF.source}}, GBNF),
        ({"structured_outputs": {"grammar": LARK.source}}, LARK),
        ({"structured_outputs": {"json_object": True, "disable_fallback": True}}, ANY_OBJECT),
        ({"guided_json": SCHEMA}, JSON),
        ({"guided_json": json.dumps(SCHEMA)}, JSON),
        ({"guided_json": True}, Grammar(GrammarKind.JSON_SCHEMA, "true")),
        ({"guided_regex": "a+"}, REGEX),
        ({"guided_choice": ["yes", "no"]}, CHOICE),
        ({"guided_grammar": LARK.source}, LARK),
        ({"guided_json_object": True}, ANY_OBJECT),
        ({"extra_body": {"guided_regex": "a+"}}, REGEX),
        ({"grammar": GBNF.source}, GBNF),
        ({"json_schema": {}}, Grammar(GrammarKind.JSON_SCHEMA, "{}")),
        ({"json_schema": SCHEMA, "grammar": ""}, JSON),
        ({"guided_regex": "a+", "structured_outputs": {"regex": "a+"}}, REGEX),
    ],
)
def test_every_dialect_prescribes_one_grammar(fields: dict[str, Any], grammar: Grammar) -> None:
    assert form(**fields) == grammar


ENUM = {"enum": ["left", "right"]}


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({"response_format": {"type": "json_object", "schema": ENUM}}, {'"left"', '"right"'}),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "side", "schema": ENUM},
                }
            },
            {'"left"', '"right"'},
        ),
        ({"structured_outputs": {"choice": ["yes", "no"]}}, {"yes", "no"}),
        ({"guided_grammar": 'start: "a" | "b"'}, {"a", "b"}),
        ({"guided_json": json.dumps(ENUM)}, {'"left"', '"right"'}),
        ({"grammar": 'root ::= "x" ("y" | "z")'}, {"xy", "xz"}),
        ({"guided_regex": "[ab]{2}"}, {"aa", "ab", "ba", "bb"}),
    ],
)
def test_a_completion_has_the_prescribed_form(
    client: httpx.Client, fields: dict[str, Any], texts: set[str]
) -> None:
    body = {"model": "fast", "prompt": "a", "max_tokens": 30, **fields}
    (choice,) = client.post("/v1/completions", json=body).json()["choices"]
    assert choice["text"] in texts
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"structured_outputs": {"regex": "("}}, "structured_outputs.regex"),
        ({"json_schema": {"type": "objekt"}}, "json_schema"),
        ({"grammar": "root ::= missing"}, "grammar"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_form_that_cannot_be_kept_is_a_400_that_names_its_field(
    client: httpx.Client, fields: dict[str, Any], param: str, stream: bool
) -> None:
    body = {"model": "fast", "prompt": "a", "stream": stream, **fields}
    response = client.post("/v1/completions", json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == (param, "invalid_grammar")


@pytest.mark.parametrize("depth", range(940, 990, 2))
def test_a_schema_of_any_depth_is_taken_or_refused(client: httpx.Client, depth: int) -> None:
    schema = '{"items":' * depth + "{}" + "}" * depth
    response = client.post(
        "/v1/completions",
        content=f'{{"model": "fast", "prompt": "a", "json_schema": {schema}}}',
        headers={"content-type": "application/json"},
    )
    assert response.status_code == 400


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"response_format": {"type": "text"}},
        {"response_format": None, "structured_outputs": None, "guided_json": None},
        {"guided_regex": "", "guided_choice": [], "guided_json_object": False},
    ],
)
def test_any_text_is_the_default(fields: dict[str, Any]) -> None:
    assert form(**fields) is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"grammar": GBNF.source, "json_schema": SCHEMA}, "json_schema"),
        ({"response_format": {"type": "json_object"}, "guided_regex": "a"}, "guided_regex"),
        ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "structured_outputs.choice"),
        ({"structured_outputs": {"json": SCHEMA, "regex": "a"}}, "structured_outputs.regex"),
    ],
)
def test_two_different_forms_are_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest, match="prescribe different forms") as refusal:
        form(**fields)
    assert refusal.value.param == param


@pytest.mark.parametrize("structured", [{}, {"jsn": SCHEMA}, {"choice": []}])
def test_structured_outputs_prescribe_something(structured: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="prescribes no form"):
        form(structured_outputs=structured)


@pytest.mark.parametrize("option", ["structural_tag", "whitespace_pattern"])
def test_what_no_form_can_say_is_refused(option: str) -> None:
    with pytest.raises(UnsupportedFeature) as refusal:
        form(structured_outputs={"regex": "a", option: "x"})
    assert refusal.value.param == f"structured_outputs.{option}"


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"response_format": {"type": "sound"}}, "response_format.type", "invalid_value"),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "missing_required_parameter",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema.schema",
            "missing_required_parameter",
        ),
        ({"guided_json": "{"}, "guided_json", "invalid_value"),
        ({"guided_json": 1}, "guided_json", "invalid_type"),
        ({"json_schema": []}, "json_schema", "invalid_type"),
        ({"guided_json": "[" * 50_000}, "guided_json", "invalid_value"),
        ({"guided_choice": ["a", 1]}, "guided_choice[1]", "invalid_type"),
        ({"structured_outputs": {"json": 1}}, "structured_outputs.json", "invalid_type"),
        ({"grammar": 1}, "grammar", "invalid_type"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
def test_a_malformed_form_is_a_400_that_names_its_field(
    client: httpx.Client, path: str, fields: dict[str, Any], param: str, code: str
) -> None:
    body = {"model": "fast", "prompt": "a", "messages": [{"role": "user", "content": "a"}]}
    response = client.post(path, json={**body, **fields})
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == (param, code)


def test_an_engines_refusal_of_a_form_names_its_field() -> None:
    body = CompletionRequest.model_validate(
        {"model": "m", "prompt": "a", "structured_outputs": {"regex": "("}}
    )
    with pytest.raises(InvalidRequest) as refusal, naming_form(body):
        raise InvalidRequest("The regex cannot be used: (", code="invalid_grammar")
    assert refusal.value.param == "structured_outputs.regex"


@pytest.mark.parametrize("error", [InvalidRequest("x", param="prompt"), InvalidRequest("x")])
def test_other_refusals_stay_as_they_are(error: InvalidRequest) -> None:
    body = CompletionRequest.model_validate({"model": "m", "prompt": "a", "guided_regex": "a"})
    param = error.param
    with pytest.raises(InvalidRequest), naming_form(body):
        raise error
    assert error.param == param
