from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.hugging_face.folder import Folder
from codeserve.engines.text.variants import DescribedWeights, derive, recognise
from codeserve.engines.types import EngineConfig
from codeserve.model_specs.spec import Variant
from tests.engines.hugging_face.conftest import Edited

BASE, INSTRUCT = "deepseek-coder v1", "deepseek-coder-instruct v1"


def name(variant: Variant | None) -> str | None:
    return None if variant is None else f"{variant.family} {variant.name}"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, BASE),
        ({"eos_token": "<|EOT|>"}, INSTRUCT),
        ({"chat_template": "{{ messages }}"}, INSTRUCT),
        ({"chat_template": [{"name": "default", "template": "{{ messages }}"}]}, INSTRUCT),
        ({"chat_template": [{"name": "tool_use", "template": "{{ messages }}"}]}, BASE),
    ],
)
def test_v1_base_and_instruct_are_told_apart(
    edited: Edited, variants: Mapping[str, Variant], settings: Mapping[str, Any], expected: str
) -> None:
    folder = Folder.read(edited({"tokenizer_config.json": settings}))
    assert name(recognise(variants.values(), folder)) == expected


def test_a_chat_template_in_a_file_of_its_own_counts_too(
    edited: Edited, variants: Mapping[str, Variant]
) -> None:
    folder = Folder.read(edited({"chat_template.jinja": "{{ messages }}"}))
    assert folder.chat_template == "{{ messages }}"
    assert name(recognise(variants.values(), folder)) == INSTRUCT


def test_v15_base_and_instruct_are_told_apart(
    v15: Folder, edited: Edited, variants: Mapping[str, Variant]
) -> None:
    end_of_turn = {"eos_token": "<|EOT|>", "added_tokens_decoder": {100015: {"content": "<|EOT|>"}}}
    instruct = Folder.read(edited({"tokenizer_config.json": end_of_turn}, v15.path))

    assert name(recognise(variants.values(), v15)) == "deepseek-coder v1.5"
    assert name(recognise(variants.values(), instruct)) == "deepseek-coder-instruct v1.5"


def test_a_folder_and_a_gguf_file_of_one_model_are_one_variant(
    v1: Folder,
    tiny_deepseek_gguf: Path,
    open_head: Callable[[Path], DescribedWeights],
    variants: Mapping[str, Variant],
) -> None:
    head = open_head(tiny_deepseek_gguf)

    assert recognise(variants.values(), v1) == recognise(variants.values(), head)
    assert derive(v1) == derive(head)


def test_a_derived_variant_knows_bos_fim_letters_and_padding(v1: Folder) -> None:
    variant = derive(v1)

    assert variant.family == "tiny-deepseek-coder"
    assert variant.bos == "<｜begin▁of▁sentence｜>"
    assert variant.fim is not None
    fim = (variant.fim.begin, variant.fim.hole, variant.fim.end)
    assert fim == ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>")
    assert variant.padding_rows == (32022, 32255)
    assert variant.control_tokens["<|EOT|>"] == 32021, "it looks like a marker"
    assert variant.letter_tokens["ü"] == 32009
    assert variant.stop_ids == {32014}


def test_every_end_that_the_configuration_names_stops(edited: Edited) -> None:
    folder = Folder.read(edited({"generation_config.json": {"eos_token_id": [32021, 32018]}}))
    assert derive(folder).stop_ids == {32014, 32018, 32021}


BOS_AS_TEMPLATE = {
    "type": "Sequence",
    "processors": [
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<｜begin▁of▁sentence｜>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {
                "<｜begin▁of▁sentence｜>": {
                    "id": "<｜begin▁of▁sentence｜>",
                    "ids": [32013],
                    "tokens": ["<｜begin▁of▁sentence｜>"],
                }
            },
        },
    ],
}


@pytest.mark.parametrize(
    ("settings", "tokenizer", "wants_bos"),
    [
        ({"add_bos_token": True}, {}, True),
        ({"add_bos_token": False}, {"post_processor": BOS_AS_TEMPLATE}, False),
        ({"add_bos_token": None}, {"post_processor": BOS_AS_TEMPLATE}, True),
        ({"add_bos_token": None, "tokenizer_class": "LlamaTokenizerFast"}, {}, True),
        ({"add_bos_token": None}, {}, False),
    ],
)
def test_a_folder_says_in_several_ways_whether_it_wants_a_bos(
    edited: Edited, settings: Mapping[str, Any], tokenizer: Mapping[str, Any], wants_bos: bool
) -> None:
    path = edited({"tokenizer_config.json": settings, "tokenizer.json": tokenizer})
    vocabulary = Folder.read(path).vocabulary

    assert (vocabulary.bos is not None) == wants_bos
    assert vocabulary.encode("x") == [87], "text alone never has one"


def test_a_required_variant_is_that_of_the_weights_or_an_error(
    v1: Folder, variants: Mapping[str, Variant]
) -> None:
    def config(*names: str, required: bool = True) -> EngineConfig:
        wanted = tuple(variants[name] for name in names)
        return EngineConfig(
            engine="vllm", path=str(v1.path), variants=wanted, variant_required=required
        )

    assert v1.variant(config(BASE, "smollm2-instruct v2")) == variants[BASE]
    assert v1.variant(config("smollm2-instruct v2", required=False)).name == "weights"
    with pytest.raises(
        ModelLoadError,
        match=r"vocabulary of 32256 tokens, which is none of those expected: smollm2-instruct \(v2",
    ):
        v1.variant(config("smollm2-instruct v2"))
