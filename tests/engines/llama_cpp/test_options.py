from typing import get_args

import llama_cpp
import pytest

from codeserve.engines.cores import usable_cores
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.llama_cpp.options import CacheType, LlamaCppOptions, ggml_type
from codeserve.engines.llama_cpp.tuning import Tuning

MEASURED = Tuning(
    n_threads=7,
    n_threads_batch=9,
    flash_attn="off",
    type_k="bf16",
    type_v="bf16",
    n_ubatch=64,
    repack=False,
)

without_gpu = pytest.mark.skipif(
    llama_cpp.llama_supports_gpu_offload(), reason="this build finds a GPU"
)


def test_an_unknown_option_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(ModelLoadError, match=r"`n_gpu`.*Valid options: n_gpu_layers, "):
        LlamaCppOptions.of({"n_gpu": 1})


@pytest.mark.parametrize(
    "options",
    [
        {"n_threads": 0},
        {"n_threads": "2"},
        {"flash_attn": True},
        {"type_k": "q3"},
        {"repack": "yes"},
        {"tune": 1},
        {"n_batch": -1},
    ],
)
def test_a_wrong_value_is_refused_by_name(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(ModelLoadError, match=name):
        LlamaCppOptions.of(options)


@without_gpu
@pytest.mark.parametrize("layers", [-1, 20])
def test_gpu_layers_without_gpu_support_are_an_error_not_a_silent_fallback(layers: int) -> None:
    with pytest.raises(ModelLoadError, match="no GPU support"):
        LlamaCppOptions.of({"n_gpu_layers": layers})


@without_gpu
def test_defaults_are_decided_without_measuring() -> None:
    options = LlamaCppOptions.of({})
    settled = options.settled(Tuning.static(options))
    cores = usable_cores()
    assert (settled.n_gpu_layers, settled.n_threads, settled.n_threads_batch) == (0, cores, cores)
    assert (settled.n_ubatch, settled.flash_attn) == (settled.n_batch, "auto")
    assert (settled.type_k, settled.type_v, settled.repack) == ("f16", "f16", True)


def test_threads_of_a_prompt_follow_threads_of_decoding() -> None:
    assert settled({"n_threads": 3}).n_threads_batch == 3
    assert settled({"n_threads": 3, "n_threads_batch": 5}).n_threads_batch == 5


def test_a_tuning_decides_what_is_not_given() -> None:
    chosen = settled({})
    for name in MEASURED.__struct_fields__[:7]:
        assert getattr(chosen, name) == getattr(MEASURED, name), name


@pytest.mark.parametrize(
    "given",
    [
        {"n_threads": 3},
        {"n_threads_batch": 5},
        {"flash_attn": "on"},
        {"type_k": "f32"},
        {"type_v": "q8_0"},
        {"n_ubatch": 32},
        {"repack": True},
    ],
)
def test_what_is_given_wins_over_what_was_measured(given: dict[str, object]) -> None:
    ((name, value),) = given.items()
    assert getattr(settled(given), name) == value


def test_no_more_tokens_are_computed_at_a_time_than_a_step_has() -> None:
    assert settled({"n_batch": 16}).n_ubatch == 16
    assert settled({"n_batch": 16, "n_ubatch": 99}).n_ubatch == 16


@pytest.mark.parametrize("kind", get_args(CacheType))
def test_every_cache_type_has_a_number_of_its_own(kind: CacheType) -> None:
    others = [ggml_type(other) for other in get_args(CacheType) if other != kind]
    assert ggml_type(kind) not in others


def settled(given: dict[str, object]) -> LlamaCppOptions:
    return LlamaCppOptions.of(given).settled(MEASURED)
