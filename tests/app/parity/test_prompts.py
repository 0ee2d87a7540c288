from collections import Counter
from pathlib import Path

import pytest

from codeserve.app.parity.prompts import PromptsError, read_prompts, shipped_prompts
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.prompt import PromptFormat
from codeserve.model_specs.segments import Content, Control, Text


def test_the_shipped_prompts_are_of_every_kind() -> None:
    assert Counter(prompt.kind for prompt in shipped_prompts()) == dict.fromkeys(
        ("completion", "fim", "chat"), 4
    )


def test_a_prompt_goes_the_way_of_its_kind(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(
        '{"prompt": "a<｜fim▁hole｜>"}\n\n'
        '{"prefix": "a<｜fim▁hole｜>", "suffix": "b"}\n'
        '{"messages": [{"role": "user", "content": "a<|EOT|>"}]}\n'
    )
    completion, fim, chat = read_prompts(file)
    catalog = Catalog.load()
    base = PromptFormat(catalog.variants("deepseek-coder")[0])
    instruct = PromptFormat(catalog.variants("deepseek-coder-instruct")[0])
    bos = Control("<｜begin▁of▁sentence｜>")

    assert completion.segments(base) == (bos, Text("a"), Control("<｜fim▁hole｜>"))
    assert Content("a<｜fim▁hole｜>") in fim.segments(base)
    assert Control("<|EOT|>") not in chat.segments(instruct)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no prompt in it"),
        ("\n\n", "there is no prompt in it"),
        ('{"prompt": "a"}\n{', "line 2: not valid JSON: "),
        ("[]", 'line 1: write {"prompt": …}, {"prefix": …, "suffix": …} or {"messages": […]}'),
        ('{"text": "a"}', 'line 1: write {"prompt": …}'),
        ('{"prompt": 1}', "line 1: Expected `str`, got `int` - at `$.prompt`"),
        ('{"prompt": "a", "n": 1}', "line 1: Object contains unknown field `n`"),
        ('{"prefix": "a"}', "line 1: Object missing required field `suffix`"),
        ('{"suffix": "a"}', "line 1: Object missing required field `prefix`"),
        ('{"prompt": "a", "suffix": "b"}', "line 1: Object contains unknown field `prompt`"),
        ('{"messages": []}', "line 1: Expected `array` of length >= 1"),
        ('{"messages": [{"role": "tool", "content": ""}]}', "line 1: Invalid enum value 'tool'"),
    ],
)
def test_what_is_no_prompt_is_named_by_its_line(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(text)
    with pytest.raises(PromptsError) as raised:
        read_prompts(file)
    assert str(raised.value).startswith(f"{file}")
    assert reason in str(raised.value)


def test_a_file_that_is_no_text_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(PromptsError, match="not UTF-8"):
        read_prompts(tmp_path / "binary")
    with pytest.raises(PromptsError, match="No such file"):
        read_prompts(tmp_path / "none")
