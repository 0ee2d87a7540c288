from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import llama_cpp
import pytest

from codeserve.engines.llama_cpp import repairs
from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.llama_cpp.repairs import Repair
from codeserve.engines.llama_cpp.weights import Weights
from codeserve.model_specs.spec import Variant

OpenHead = Callable[[Path], Weights]
Edited = Callable[..., Path]
PRE = "tokenizer.ggml.pre"
TEXT = "don't /* 写一个 */ {\n\t\tsum += a[i];\r\n\t}\n// https://example.com/a_b?c=1&d=%20"


@pytest.fixture
def v1(variants: Mapping[str, Variant]) -> Variant:
    return variants["deepseek-coder v1"]


def test_a_sound_file_needs_no_repair(v1_file: Path, open_head: OpenHead, v1: Variant) -> None:
    assert repairs.find(v1, open_head(v1_file)) == ()


@pytest.mark.parametrize("found", [None, "llama-bpe"])
def test_a_missing_or_wrong_pre_tokenizer_is_set_right(
    v1_file: Path,
    edited: Edited,
    open_head: OpenHead,
    v1: Variant,
    log: LlamaLog,
    found: str | None,
) -> None:
    path = edited(v1_file, {PRE: found})
    head = open_head(path)
    needed = repairs.find(v1, head)
    right = open_head(v1_file).vocabulary.encode(TEXT)
    assert head.vocabulary.encode(TEXT) != right
    assert needed == (Repair(PRE, found, "deepseek-coder"),)

    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    params.kv_overrides = repairs.overrides(needed)
    with closing(Weights(path, params, log)) as repaired:
        assert repaired.vocabulary.encode(TEXT) == right


def test_missing_rope_scaling_is_found_and_other_scaling_is_left_alone(
    v1_file: Path, edited: Edited, open_head: OpenHead, v1: Variant
) -> None:
    scaling = {"llama.rope.scaling.type": None, "llama.rope.scaling.factor": None}
    missing = repairs.find(v1, open_head(edited(v1_file, scaling)))
    assert [(r.key, r.value) for r in missing] == [
        ("llama.rope.scaling.type", "linear"),
        ("llama.rope.scaling.factor", 4.0),
    ]
    other = edited(v1_file, {"llama.rope.scaling.factor": 2.0})
    assert repairs.find(v1, open_head(other)) == ()


def test_rope_scaling_set_by_a_repair_takes_effect(smollm2_path: Path, log: LlamaLog) -> None:
    scaling = (
        Repair("llama.rope.scaling.type", None, "linear"),
        Repair("llama.rope.scaling.factor", None, 4.0),
    )
    for needed, scale in ((scaling, 0.25), ((), 1.0)):
        overrides = repairs.overrides(needed)
        options = LlamaCppOptions.of({})
        with closing(Weights.load(smollm2_path, options, overrides, lambda _: None, log)) as loaded:
            assert llama_cpp.llama_model_rope_freq_scale_train(loaded.pointer) == scale


@pytest.mark.parametrize(
    ("value", "same"), [(100000.0, True), (10000.0, False), (100000, True), (99999, False)]
)
def test_numbers_are_compared_as_numbers(
    v1_file: Path, open_head: OpenHead, v1: Variant, value: float, same: bool
) -> None:
    variant = Variant(
        family="f", name="n", context_length=1, gguf_exact={"llama.rope.freq_base": value}
    )
    assert (repairs.find(variant, open_head(v1_file)) == ()) is same


def test_a_flag_is_compared_as_a_flag(v1_file: Path, open_head: OpenHead) -> None:
    key = "tokenizer.ggml.add_bos_token"
    right = Variant(family="f", name="n", context_length=1, gguf_exact={key: True})
    wrong = Variant(family="f", name="n", context_length=1, gguf_exact={key: False})
    assert repairs.find(right, open_head(v1_file)) == ()
    assert repairs.find(wrong, open_head(v1_file)) == (Repair(key, "true", False),)


def test_a_repair_says_what_was_wrong() -> None:
    missing = Repair(PRE, None, "deepseek-coder").sentence
    wrong = Repair(PRE, "llama-bpe", "deepseek-coder").sentence
    assert missing == 'tokenizer.ggml.pre was missing; set to "deepseek-coder"'
    assert wrong == 'tokenizer.ggml.pre was "llama-bpe"; set to "deepseek-coder"'
