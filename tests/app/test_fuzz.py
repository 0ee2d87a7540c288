"""Whatever clients send, no route breaks or hangs, and every response is as documented."""

import copy
import json
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.app.conftest import RunningServer

pytestmark = pytest.mark.long
MODEL = "short"
"""Its context ends every generation soon."""

LAUNCH = "/v1/models"
"""A launch starts processes and downloads; its fields have tests of their own."""

EXAMPLES = 20
ALIAS_EXAMPLES = 3
"""Of a route that takes the same bodies as one before: another path to the same code."""

DOCUMENTED = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["", "\ud800", "\x00", "<|EOT|>", "text", "json_schema", 2**63, 10**400, -1]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
"""Also NaN, infinities and halves of surrogate pairs: Python's encoder writes them all."""

EDGES: list[Any] = [
    None,
    "",
    "a",
    0,
    1,
    -1,
    0.5,
    True,
    [],
    {},
    [[]],
    [""],
    2**63,
    10**400,
    "\ud800",
]
"""Values that code forgets."""

BODIES: list[dict[str, Any]] = [
    {"prompt": "a", "max_tokens": 4, "stop": ["x"], "logit_bias": {"1": 5}, "suffix": "b"},
    {"prompt": [[1, 2], [3]], "n": 2, "echo": True, "logprobs": 1, "seed": 1, "stream": False},
    {"prompt": ["a", "b"], "stream": True, "stream_options": {"include_usage": True}},
    {
        "messages": [
            {"role": "system", "content": "a"},
            {"role": "user", "content": [{"type": "text", "text": "b"}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        ],
        "max_tokens": 4,
        "temperature": 0.5,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    },
    {"input_prefix": "a", "input_suffix": "b", "input_extra": [{"text": "c"}], "n_predict": 4},
    {"content": "a", "add_special": True, "tokens": [1, 2], "options": {"num_predict": 4}},
    {"input": [{"role": "user", "content": "a"}], "max_output_tokens": 4},
]
"""What real clients send, to be sent to every route."""


def bounded(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.fixture
def documented(client: httpx.Client) -> dict[str, list[Any]]:
    """Path of every POST route to the examples of its body."""
    paths = client.get("/openapi.json").json()["paths"]
    return {
        path: [
            example["value"]
            for example in item["post"]["requestBody"]["content"]["application/json"][
                "examples"
            ].values()
        ]
        for path, item in paths.items()
        if "requestBody" in item.get("post", {}) and "{" not in path and path != LAUNCH
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize("tagged", [True, False], ids=["admin", "other"])
def test_every_response_is_as_documented(server: RunningServer, tagged: bool) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json", wait_for_schema=60)
    asked: set[str] = set()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        is_launch = (operation.method, operation.path) == ("post", LAUNCH)
        if ("admin" in (operation.tags or ())) is tagged and not is_launch:
            body = operation.definition.raw.get("requestBody")
            taken = json.dumps(body)  # As text, because what is asked changes the document.
            is_alias = body is not None and taken in asked
            asked.add(taken)
            assert_as_documented(operation, ALIAS_EXAMPLES if is_alias else EXAMPLES)


@bounded(150)
@given(data=st.data(), body=JSON)
def test_arbitrary_json_breaks_no_route(
    client: httpx.Client, documented: dict[str, list[Any]], data: st.DataObject, body: Any
) -> None:
    if isinstance(body, dict):
        body = {"model": MODEL, **body}
    assert_served(client, data.draw(st.sampled_from(list(documented))), json.dumps(body).encode())


@bounded(250)
@given(data=st.data())
def test_nearly_valid_bodies_break_no_route(
    client: httpx.Client, documented: dict[str, list[Any]], data: st.DataObject
) -> None:
    path, body = draw_request(documented, data)
    for _ in range(data.draw(st.integers(1, 3))):
        mutate(body, data)
    assert_served(client, path, json.dumps({**body, "model": MODEL}).encode())


@bounded(100)
@given(data=st.data())
def test_damaged_bytes_break_no_route(
    client: httpx.Client, documented: dict[str, list[Any]], data: st.DataObject
) -> None:
    path, body = draw_request(documented, data)
    text = json.dumps(body).encode()
    cut = data.draw(st.integers(0, len(text)))
    assert_served(client, path, text[:cut] + data.draw(st.binary(max_size=4)) + text[cut + 1 :])


def assert_as_documented(
    operation: schemathesis.APIOperation[Any, Any, Any, Any], examples: int
) -> None:
    @bounded(examples)
    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case[Any]) -> None:
        if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
            case.body["model"] = MODEL
        if case.query:
            case.query.pop("follow", None)  # What follows a journal has no end.
        case.call_and_validate(checks=DOCUMENTED, timeout=30)

    ask()


def draw_request(
    documented: dict[str, list[Any]], data: st.DataObject
) -> tuple[str, dict[str, Any]]:
    """A path, and what is documented for it or what clients send to others."""
    path = data.draw(st.sampled_from(list(documented)))
    body = data.draw(st.sampled_from(documented[path]) | st.sampled_from(BODIES))
    return path, copy.deepcopy({**body, "model": MODEL})


def mutate(body: Any, data: st.DataObject) -> None:
    """Change, remove or add one value somewhere in ``body``."""
    place: Any = body
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or data.draw(st.booleans()):
            break
        place = inner
    if data.draw(st.booleans()):
        place[key] = copy.deepcopy(data.draw(st.sampled_from(EDGES) | JSON))
    else:
        del place[key]


def assert_served(client: httpx.Client, path: str, body: bytes) -> None:
    """The route answers in its time, and nothing but a broken server is ever its fault."""
    response = client.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code < 500, f"{path} {body!r}: {response.text}"
    if response.status_code != 200:
        assert "error" in response.json()
