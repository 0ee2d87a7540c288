"""A family file travels with what it names, and replaces nothing on the other machine."""

from pathlib import Path

import pytest

from codeserve.app.cli.definitions import check, collect, install
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.errors import SpecError

FAMILY = """
model_name = "mine"
description = "A family of the user's own."
languages = ["en"]
abilities = ["generate", "chat"]

[[variants]]
name = "only"
vocabulary = "own"
chat_template = "own.jinja"
context_length = 512

[[specs]]
size_in_billions = "1"
model_format = "ggufv2"
variant = "only"
quantizations = ["Q8_0"]
default_quantization = "Q8_0"
engines = ["llama.cpp"]
sources = [{ hub = "huggingface", model_id = "me/mine", file = "mine.gguf" }]
"""
VOCABULARY = 'bos = "<s>"\n[control_tokens]\n"<s>" = 1\n'
TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"


@pytest.fixture
def definitions(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "here"
    files = {"a.toml": FAMILY, "vocabularies/own.toml": VOCABULARY, "templates/own.jinja": TEMPLATE}
    for name, text in {**files, "templates/other.jinja": "other"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    collected = collect(folder / "a.toml")
    assert collected == files
    return collected


def test_a_family_is_registered_with_its_vocabulary_and_template(
    definitions: dict[str, str], tmp_path: Path
) -> None:
    there = tmp_path / "there"
    assert install(definitions, Catalog.load(), there) == ("mine",)
    [variant] = Catalog.load(there).family("mine").variants
    assert (variant.bos, variant.chat_template) == ("<s>", TEMPLATE)
    assert install(definitions, Catalog.load(there), there) == ()


@pytest.mark.parametrize("name", ["a.toml", "vocabularies/own.toml", "templates/own.jinja"])
def test_what_means_something_else_there_is_kept(
    definitions: dict[str, str], tmp_path: Path, name: str
) -> None:
    there = tmp_path / "there"
    install(definitions, Catalog.load(), there)
    definitions[name] = definitions[name].replace("own", "owned").replace("<s>", "<t>") + " "
    definitions["vocabularies/owned.toml"] = VOCABULARY
    definitions["templates/owned.jinja"] = TEMPLATE
    with pytest.raises(SpecError, match=r"another f|a file"):
        check(definitions, Catalog.load(there), there)
    assert (there / "vocabularies" / "own.toml").read_text() == VOCABULARY


@pytest.mark.parametrize("name", ["other/own.toml", ".hidden.toml", "templates/deep/own.jinja"])
def test_a_file_in_another_place_is_refused(
    definitions: dict[str, str], tmp_path: Path, name: str
) -> None:
    with pytest.raises(SpecError, match="is no place for a file of a family"):
        check({**definitions, name: ""}, Catalog.load(), tmp_path / "there")


def test_a_family_that_is_not_sound_is_refused(definitions: dict[str, str], tmp_path: Path) -> None:
    definitions["a.toml"] = definitions["a.toml"].replace("ggufv2", "gguf")
    with pytest.raises(SpecError, match="model_format"):
        install(definitions, Catalog.load(), tmp_path / "there")
    assert not (tmp_path / "there").exists()
