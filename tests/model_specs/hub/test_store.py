"""The first source that has the weights gives them; if none has, each says why."""

import msgspec
import pytest

from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.package import locate
from codeserve.model_specs.hub.store import fetch
from codeserve.model_specs.spec import Hub, ModelSpec, Source

ABSENT = Source(hub=Hub.PACKAGE, model_id="no_such_package", file="x.gguf")


@pytest.fixture
def spec(catalog: Catalog) -> ModelSpec:
    return catalog.select("smollm2-instruct").spec


def test_the_embedded_default_is_already_there(spec: ModelSpec) -> None:
    assert fetch(spec, "Q4_1", lambda done, total: None) == locate(spec.sources[0])


def test_a_source_that_fails_is_followed_by_the_next(spec: ModelSpec) -> None:
    both = msgspec.structs.replace(spec, sources=(ABSENT, *spec.sources))
    assert fetch(both, "Q4_1", lambda done, total: None) == locate(spec.sources[0])


def test_when_every_source_fails_each_is_named_with_its_reason(spec: ModelSpec) -> None:
    modelscope = Source(hub=Hub.MODELSCOPE, model_id="me/mine")
    neither = msgspec.structs.replace(spec, sources=(ABSENT, modelscope))
    with pytest.raises(PullError) as raised:
        fetch(neither, "Q4_1", lambda done, total: None)
    assert "package no_such_package: The package no_such_package is not installed" in str(
        raised.value
    )
    assert "modelscope me/mine: Pulling from ModelScope is not supported yet" in str(raised.value)
