from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from codeserve.engines.llama_cpp.weights import Weights
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.text.variants import derive, recognise
from codeserve.model_specs.segments import Content, Control
from codeserve.model_specs.spec import Variant

OpenHead = Callable[[Path], Weights]
Edited = Callable[..., Path]
EOS, TEMPLATE = "tokenizer.ggml.eos_token_id", "tokenizer.chat_template"
USER_DEFINED, CONTROL = 4, 3


def name(variant: Variant | None) -> str | None:
    return None if variant is None else f"{variant.family} {variant.name}"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "deepseek-coder v1"),
        ({EOS: 32021}, "deepseek-coder-instruct v1"),
        ({TEMPLATE: "{{ messages }}"}, "deepseek-coder-instruct v1"),
        ({EOS: 32021, TEMPLATE: "{{ messages }}"}, "deepseek-coder-instruct v1"),
    ],
)
def test_v1_base_and_instruct_are_told_apart(
    v1_file: Path,
    edited: Edited,
    open_head: OpenHead,
    variants: Mapping[str, Variant],
    changes: Mapping[str, str | int],
    expected: str,
) -> None:
    assert name(recognise(variants.values(), open_head(edited(v1_file, changes)))) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, "deepseek-coder v1.5"), ({EOS: 100015}, "deepseek-coder-instruct v1.5")],
)
def test_v15_is_recognised_though_its_end_of_turn_has_no_name_in_the_file(
    v15_file: Path,
    edited: Edited,
    open_head: OpenHead,
    variants: Mapping[str, Variant],
    changes: Mapping[str, int],
    expected: str,
) -> None:
    assert name(recognise(variants.values(), open_head(edited(v15_file, changes)))) == expected


def test_the_embedded_model_is_recognised(
    smollm2_path: Path, open_head: OpenHead, variants: Mapping[str, Variant]
) -> None:
    assert name(recognise(variants.values(), open_head(smollm2_path))) == "smollm2-instruct v2"


def test_another_vocabulary_is_not_recognised(
    smollm2_path: Path, open_head: OpenHead, variants: Mapping[str, Variant]
) -> None:
    others = [v for v in variants.values() if v.family != "smollm2-instruct"]
    assert recognise(others, open_head(smollm2_path)) is None


def test_weights_speak_for_themselves(smollm2_path: Path, open_head: OpenHead) -> None:
    head = open_head(smollm2_path)
    variant = derive(head)

    assert (variant.context_length, variant.vocab_rows, variant.fim) == (8192, 49152, None)
    assert variant.bos is None, "the file says that no BOS is added"
    assert variant.stop_ids == {0, 2, 4}
    assert variant.chat_template == head.chat_template
    assert variant.padding_rows is None
    tokenizer = Tokenizer(head.vocabulary, variant)
    assert tokenizer.encode([Control("<|im_start|>")]) == [1]
    assert len(tokenizer.encode([Content("<|im_start|>")])) > 1


def test_a_derived_variant_knows_bos_fim_letters_and_padding(
    v1_file: Path, open_head: OpenHead
) -> None:
    variant = derive(open_head(v1_file))

    assert variant.bos == "<｜begin▁of▁sentence｜>"
    assert variant.fim is not None
    fim = (variant.fim.begin, variant.fim.hole, variant.fim.end)
    assert fim == ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>")
    assert variant.padding_rows == (32022, 32255)
    assert variant.control_tokens["<|EOT|>"] == 32021, "it looks like a marker"
    assert variant.letter_tokens["ü"] == 32009
    assert variant.stop_ids == {32014}
