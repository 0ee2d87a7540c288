"""A spec's sources as artifacts."""

import pytest

from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.artifact import Artifact, artifacts
from codeserve.model_specs.spec import Hub


def test_sources_come_best_first_with_the_quantisation_in_their_files(catalog: Catalog) -> None:
    spec = catalog.select("deepseek-coder", size_in_billions="1_3", model_format="ggufv2").spec
    assert artifacts(spec, "Q4_K_M") == (
        Artifact(
            hub=Hub.HUGGINGFACE,
            repository="TheBloke/deepseek-coder-1.3b-base-GGUF",
            files=("deepseek-coder-1.3b-base.Q4_K_M.gguf",),
        ),
    )


def test_one_hub_can_be_asked_for(catalog: Catalog) -> None:
    spec = catalog.select("deepseek-coder", size_in_billions="1_3", model_format="pytorch").spec
    assert [one.hub for one in artifacts(spec, "none")] == [Hub.HUGGINGFACE, Hub.MODELSCOPE]
    (artifact,) = artifacts(spec, "none", Hub.MODELSCOPE)
    assert artifact.repository == "deepseek-ai/deepseek-coder-1.3b-base"
    assert artifact.files == ()


def test_a_hub_that_does_not_have_the_weights_is_refused(catalog: Catalog) -> None:
    spec = catalog.select("deepseek-coder", size_in_billions="1_3", model_format="ggufv2").spec
    with pytest.raises(PullError, match="not known to be on modelscope; they are on: huggingface"):
        artifacts(spec, "Q4_K_M", Hub.MODELSCOPE)
