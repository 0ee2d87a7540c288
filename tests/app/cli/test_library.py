"""What was pulled has a name of its own and a command that serves exactly it."""

from pathlib import Path

import msgspec
import pytest

from codeserve.app.cli.library import Library
from codeserve.app.server_settings import ServerSettings
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.hub.artifact import Artifact, artifacts
from codeserve.model_specs.hub.stored import Stored
from codeserve.model_specs.spec import Hub


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(ServerSettings(store=tmp_path), Catalog.load())


def stored(artifact: Artifact) -> Stored:
    path = Path("/cache/weights")
    return Stored(
        artifact=artifact, commit=None, path=path, root=path.parent, files=(), pulled_at=0.0
    )


def test_all_weights_of_the_catalogue_have_titles_of_their_own(library: Library) -> None:
    found = {
        artifact: (family.model_name, spec.size_in_billions, str(spec.model_format))
        for family in library.catalog.families
        for spec in family.specs
        for quantization in spec.quantizations
        for artifact in artifacts(spec, quantization)[:1]
    }
    titles = {library.title(stored(artifact)) for artifact in found}
    assert len(titles) == len(found) > 100


def test_weights_of_another_format_are_launched_by_it(library: Library) -> None:
    for model_format in ("gptq", "awq"):
        spec = library.catalog.select(
            "deepseek-coder-instruct", size_in_billions="6_7", model_format=model_format
        ).spec
        command = library.how_to_serve(stored(artifacts(spec, "Int4")[0]), None)
        assert command.endswith(
            "launch --model-name deepseek-coder-instruct --size-in-billions 6_7 "
            f"--model-format {model_format} --quantization Int4"
        )


def test_weights_that_the_catalogue_does_not_know_are_served_by_path(library: Library) -> None:
    unknown = stored(Artifact(hub=Hub.HUGGINGFACE, repository="you/yours", files=("*.gguf",)))
    assert library.title(unknown) == "huggingface you/yours *.gguf"
    assert library.how_to_serve(unknown, Path("my file.toml")).endswith(
        "serve --model /cache/weights --config 'my file.toml'"
    )
    other = msgspec.structs.replace(unknown.artifact, files=())
    assert library.title(stored(other)) != library.title(unknown)
