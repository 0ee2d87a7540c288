import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.app.api.admin.family_text import FOREIGN, family_text
from codeserve.engines.errors import InvalidRequest

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def test_toml_stays_as_it_is() -> None:
    text = 'model_name = "mine"  # ours\n'
    assert family_text(text) == text


@given(fields=st.dictionaries(TEXTS.filter(lambda name: name not in FOREIGN), VALUES, max_size=4))
def test_json_says_the_same_as_toml(fields: dict[str, Any]) -> None:
    assert tomllib.loads(family_text(json.dumps(fields))) == fields


def test_null_is_left_out() -> None:
    assert family_text('{"a": 1, "b": null, "c": {"d": null}}') == '"a" = 1\n"c" = {}\n'


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ("model_name", "no TOML"),
        ("{model_name", "no JSON"),
        ('{"a": [null]}', "null"),
        (r'{"a": "\ud800"}', "surrogate"),
        ('{"version": 2, "model_specs": []}', "Xinference's words"),
        ("model_specs = []", "Xinference's words"),
    ],
)
def test_what_is_no_definition_is_refused(definition: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as caught:
        family_text(definition)
    assert caught.value.param == "model"
