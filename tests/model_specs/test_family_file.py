"""A wrong family file is refused with the file, the place and what is allowed."""

from pathlib import Path

import pytest

from codeserve.model_specs.errors import SpecError
from codeserve.model_specs.family_file import read_family
from codeserve.model_specs.spec import ModelFamily


def read(tmp_path: Path, text: str) -> ModelFamily:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return read_family(path, tmp_path / "shipped")


def test_a_sound_file_is_read(tmp_path: Path, family_text: str) -> None:
    family = read(tmp_path, family_text)
    (variant,) = family.variants
    assert (family.model_name, variant.family, variant.name) == ("mine", "mine", "v1")
    assert variant.stop_ids == {257}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('model_name = "mine"', "", "family: Object missing required field `model_name`"),
        ('languages = ["en"]', "", "family: Object missing required field `languages`"),
        (
            "eos = ",
            "end = ",
            r"variants\[0\]: .* unknown field `end`; allowed are vocabulary, name",
        ),
        ("encode = [{ text", "encode = [{ txt", r"golden.encode\[0\]: .* allowed are text, ids"),
        (
            '"ggufv2"',
            '"gguf"',
            r"specs\[0\].model_format: .*; allowed are pytorch, ggufv2, gptq, awq",
        ),
        ('hub = "huggingface"', 'hub = "hf"', r"allowed are huggingface, modelscope, package"),
        ("= 256", '= "256"', r"control_tokens\[...\]: Expected `int`, got `str`"),
        ('name = "v1"', 'name = "v1"\nfamily = "x"', "`family` is the file's `model_name`"),
        ("bos = ", 'chat_template = "no.jinja"\nbos = ', "no file templates/no.jinja"),
        ("bos = ", 'vocabulary = "no"\nbos = ', "no file vocabularies/no.toml"),
        ("bos = ", "bos == ", r"mine\.toml: .*line 10"),
        ("[[variants]]", "[variants]", "variants: Expected `array`, got `object`"),
    ],
)
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, family_text: str, old: str, new: str, message: str
) -> None:
    assert old in family_text
    with pytest.raises(SpecError, match=message) as raised:
        read(tmp_path, family_text.replace(old, new, 1))
    assert str(tmp_path / "mine.toml") in str(raised.value)


def test_a_vocabulary_is_shared_and_a_variants_tables_add_to_it(
    tmp_path: Path, family_text: str
) -> None:
    (tmp_path / "vocabularies").mkdir()
    (tmp_path / "vocabularies" / "bytes.toml").write_text(
        'vocab_rows = 400\neos = "<end>"\ncontrol_tokens = { "<end>" = 270 }\n'
        '[golden]\nstop_ids = [257]\nencode = [{ text = "b", ids = [98] }]\n'
    )
    text = family_text.replace('eos = "<eos>"', 'vocabulary = "bytes"', 1)
    (variant,) = read(tmp_path, text).variants
    assert variant.eos == "<end>"
    assert variant.vocab_rows == 300
    assert variant.control_tokens == {"<end>": 270, "<bos>": 256, "<eos>": 257, "<hole>": 258}
    assert [vector.text for vector in variant.golden.encode] == ["a"]
    assert variant.golden.stop_ids == (257,)


def test_a_template_beside_the_file_is_read(tmp_path: Path, family_text: str) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "mine.jinja").write_text("{{ bos_token }}")
    text = family_text.replace("bos = ", 'chat_template = "mine.jinja"\nbos = ', 1)
    (variant,) = read(tmp_path, text).variants
    assert variant.chat_template == "{{ bos_token }}"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nothing\.toml"):
        read_family(tmp_path / "nothing.toml", tmp_path)
