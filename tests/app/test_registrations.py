"""Families registered while the server runs are there whole, and again after a restart."""

from pathlib import Path

import pytest

from codeserve.app.registrations import Registrations, families_folder, load_catalog
from codeserve.app.server_settings import ServerSettings
from codeserve.model_specs.errors import SpecError, UnknownSpec

FAMILY = """
model_name = "mine"
description = "A model of my own."
languages = ["en"]
abilities = ["generate", "chat"]

[[variants]]
name = "v1"
vocabulary = "deepseek-coder"
context_length = 4096
chat_template = "{{ bos_token }}{{ messages[0].content }}"

[[specs]]
size_in_billions = "1_3"
model_format = "ggufv2"
variant = "v1"
quantizations = ["Q8_0"]
default_quantization = "Q8_0"
engines = ["llama.cpp"]
sources = [{ hub = "huggingface", model_id = "me/mine", file = "mine.gguf" }]
"""


@pytest.fixture
def server(tmp_path: Path) -> ServerSettings:
    (tmp_path / "families").mkdir()
    return ServerSettings(families=tmp_path / "families")


def registrations_of(server: ServerSettings) -> Registrations:
    return Registrations(load_catalog(server), families_folder(server))


@pytest.fixture
def registrations(server: ServerSettings) -> Registrations:
    return registrations_of(server)


def names(registrations: Registrations) -> list[str]:
    return [family.model_name for family in registrations.families()]


def files(registrations: Registrations) -> list[str]:
    return sorted(file.name for file in registrations.folder.iterdir())


def refusal(registrations: Registrations, definition: str) -> str:
    before = names(registrations), files(registrations)
    with pytest.raises(SpecError) as caught:
        registrations.register(definition)
    assert (names(registrations), files(registrations)) == before, "nothing is half registered"
    return str(caught.value)


def test_a_registered_family_can_be_chosen_at_once_and_after_a_restart(
    server: ServerSettings,
) -> None:
    catalog = load_catalog(server)
    registered = Registrations(catalog, families_folder(server))
    family = registered.register(FAMILY)
    assert catalog.select("mine").family is family
    assert family.variants[0].bos == "<｜begin▁of▁sentence｜>"
    assert load_catalog(server).select("mine").family == family
    assert names(registrations_of(server)) == ["mine"]


def test_an_unregistered_family_is_gone_at_once_and_after_a_restart(
    server: ServerSettings,
) -> None:
    catalog = load_catalog(server)
    registered = Registrations(catalog, families_folder(server))
    registered.register(FAMILY)
    registered.unregister("mine")
    assert names(registered) == files(registered) == []
    with pytest.raises(UnknownSpec, match="'mine'"):
        catalog.family("mine")
    assert names(registrations_of(server)) == []
    registered.register(FAMILY)
    assert files(registered) == ["mine.toml"]


def test_shipped_families_are_no_registrations(registrations: Registrations) -> None:
    assert names(registrations) == []
    with pytest.raises(SpecError, match="comes with codeserve and cannot be unregistered"):
        registrations.unregister("deepseek-coder")


def test_an_unknown_name_cannot_be_unregistered(registrations: Registrations) -> None:
    registrations.register(FAMILY)
    with pytest.raises(UnknownSpec, match=r"'mien'\. Did you mean mine"):
        registrations.unregister("mien")


def test_a_family_in_use_stays(registrations: Registrations) -> None:
    registrations.register(FAMILY)
    with pytest.raises(SpecError, match=r"models of it are launched: a, b\. Terminate them"):
        registrations.unregister("mine", users=["a", "b"])
    assert names(registrations) == ["mine"]
    assert files(registrations) == ["mine.toml"]


@pytest.mark.parametrize("name", ["deepseek-coder", "DeepSeek-Coder"])
def test_a_shipped_familys_name_is_taken_in_any_case(
    registrations: Registrations, name: str
) -> None:
    message = refusal(registrations, FAMILY.replace('"mine"', f'"{name}"'))
    assert message == f"{name} is the name of another family; choose another model_name"


def test_the_same_name_twice_is_refused(registrations: Registrations) -> None:
    registrations.register(FAMILY)
    assert "unregister it first" in refusal(registrations, FAMILY)


def test_what_another_server_has_registered_is_not_overwritten(server: ServerSettings) -> None:
    late = registrations_of(server)
    registrations_of(server).register(FAMILY)
    assert "registered already" in refusal(late, FAMILY.replace("my own", "somebody else's"))
    assert "my own" in (late.folder / "mine.toml").read_text()


@pytest.mark.parametrize("name", ["", ".hidden", "../mine", "a/b", "a b", "é", "a" * 101])
def test_a_name_that_is_no_file_name_is_refused(registrations: Registrations, name: str) -> None:
    message = refusal(registrations, FAMILY.replace('"mine"', f'"{name}"'))
    assert "cannot be registered; a name has letters" in message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"mine"', '"mine', "definition: "),
        ('"A model of my own."', "3", "definition: description: Expected `str`"),
        ('"v1"\nvoc', '"v2"\nvoc', "unknown variant 'v1'; there are v2"),
        ('"generate"', '"fly"', "unknown ability 'fly'"),
        ('"deepseek-coder"', '"latin"', "no file vocabularies/latin.toml; there are deepseek"),
        ('"deepseek-coder"', '"../families/smollm2-instruct"', "no file vocabularies/../"),
        ('"{{ bos_token }}{{ messages[0].content }}"', '"/etc/passwd"', "no file templates//etc"),
        ("{{ bos_token }}", "{% if %}", "chat template"),
    ],
)
def test_an_unsound_definition_is_refused_with_the_place(
    registrations: Registrations, old: str, new: str, message: str
) -> None:
    assert message in refusal(registrations, FAMILY.replace(old, new))


def test_a_folder_that_cannot_be_written_is_an_error(server: ServerSettings) -> None:
    registered = registrations_of(server)
    assert server.families is not None
    (server.families / ".mine.toml.new").mkdir()
    assert "mine cannot be registered: Is a directory" in refusal(registered, FAMILY)


def test_by_default_families_are_beside_other_data_and_the_folder_may_be_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    server = ServerSettings()
    registered = registrations_of(server)
    assert registered.folder == tmp_path / "codeserve" / "families"
    assert not registered.folder.exists()
    registered.register(FAMILY)
    assert names(registrations_of(server)) == ["mine"]


def test_a_named_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="not a folder of family files"):
        load_catalog(ServerSettings(families=tmp_path / "none"))
