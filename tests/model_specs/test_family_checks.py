"""The parts of a family file must fit together."""

from pathlib import Path

import pytest

from codeserve.model_specs.errors import SpecError
from codeserve.model_specs.family_file import read_family

SECOND_SPEC = """
[[specs]]
size_in_billions = "1_3"
model_format = "ggufv2"
variant = "v1"
quantizations = ["Q8_0"]
default_quantization = "Q8_0"
engines = ["llama.cpp"]
sources = [{ hub = "package", model_id = "mine", file = "mine.gguf" }]
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"generate", "chat"', '"fly"', "unknown ability 'fly'; allowed are generate, chat"),
        ('variant = "v1"', 'variant = "v9"', "unknown variant 'v9'; there are v1"),
        ('bos = "<bos>"', 'bos = "<s>"', "bos: '<s>' is not among control_tokens.*<bos>, <eos>"),
        ('eos = "<eos>"', 'eos = "<s>"', "eos: '<s>' is not among control_tokens"),
        ('stop_tokens = ["<eos>"]', 'stop_tokens = ["<s>"]', "stop_tokens: '<s>' is not among"),
        (
            'stop_tokens = ["<eos>"]',
            'fim = { begin = "<bos>", hole = "<hole>", end = "<x>" }',
            "fim: '<x>' is not among control_tokens",
        ),
        ('"<eos>" = 257', '"<eos>" = 256', "id 256 stands for more than one token"),
        ('"<eos>" = 257', '"<eos>" = 300', "tokens: id 300 is not below vocab_rows 300"),
        ('"<eos>" = 257', '"<eos>" = 295', "id 295 is one of the padding_rows 290 to 299"),
        ("ids = [97]", "ids = [97, 300]", "golden: id 300 is not below vocab_rows 300"),
        ("[290, 299]", "[290, 300]", "padding_rows 290 to 300 do not lie within the 300 rows"),
        ('= "Q8_0"', '= "Q9"', "'Q9' is not among quantizations Q8_0, Q4_0"),
        ('engines = ["llama.cpp"]', "engines = []", "engines is empty"),
        (', file = "mine.{quantization}.gguf"', "", "a GGUF source needs `file`"),
        ('size_in_billions = "1_3"', 'size_in_billions = "1.3"', "not like 33 or 1_3"),
        (
            "engines",
            "file_gigabytes = { Q2_K = 1.0 }\nengines",
            "'Q2_K' is not among quantizations",
        ),
        (
            'bos = "<bos>"',
            'bos = "<bos>"\nsampling = { top_p = 1.5 }',
            "sampling: top_p is 1.5, but it must be from 0 to 1",
        ),
        (
            "[[variants]]",
            "[shapes]\n"
            "2 = { layers = 1, hidden = 1, ffn = 1, heads = 1, kv_heads = 1 }\n"
            "[[variants]]",
            "shapes: no spec has the size 2; there are 1_3",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    tmp_path: Path, family_text: str, old: str, new: str, message: str
) -> None:
    assert old in family_text
    path = tmp_path / "mine.toml"
    path.write_text(family_text.replace(old, new, 1))
    with pytest.raises(SpecError, match=message):
        read_family(path, tmp_path)


def test_a_spec_given_twice_is_refused(tmp_path: Path, family_text: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(family_text + SECOND_SPEC)
    with pytest.raises(SpecError, match="spec 1_3 ggufv2 is defined twice"):
        read_family(path, tmp_path)


def test_a_template_that_is_not_jinja_is_refused(tmp_path: Path, family_text: str) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "mine.jinja").write_text("{% for %}")
    path = tmp_path / "mine.toml"
    path.write_text(family_text.replace("bos = ", 'chat_template = "mine.jinja"\nbos = ', 1))
    with pytest.raises(SpecError, match="variant v1: the chat template is not valid Jinja"):
        read_family(path, tmp_path)
