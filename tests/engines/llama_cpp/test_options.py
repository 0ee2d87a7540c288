import llama_cpp
import pytest

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.llama_cpp.cores import usable_cores
from codeserve.engines.llama_cpp.options import LlamaCppOptions

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
def test_defaults_are_decided() -> None:
    options = LlamaCppOptions.of({})
    cores = usable_cores()
    assert (options.n_gpu_layers, options.n_threads, options.n_threads_batch) == (0, cores, cores)
    assert options.n_ubatch == options.n_batch


def test_threads_of_a_prompt_follow_threads_of_decoding() -> None:
    assert LlamaCppOptions.of({"n_threads": 3}).n_threads_batch == 3
    assert LlamaCppOptions.of({"n_threads": 3, "n_threads_batch": 5}).n_threads_batch == 5
