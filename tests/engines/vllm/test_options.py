from typing import Any

import pytest

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.vllm.options import VllmOptions


def test_fields_of_vllms_arguments_are_taken_by_name() -> None:
    given: dict[str, Any] = {
        "tensor_parallel_size": 2,
        "pipeline_parallel_size": 2,
        "gpu_memory_utilization": 0.8,
        "max_model_len": 4096,
        "quantization": "fp8",
        "dtype": "float16",
        "enforce_eager": True,
        "kv_cache_memory_bytes": 2**30,
        "speculative_config": {"method": "ngram", "num_speculative_tokens": 3},
    }
    options = VllmOptions.of({**given, "device": "cuda"})
    assert options.engine_args == given
    assert options.device == "cuda"


def test_an_unknown_option_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ModelLoadError, match="no option 'tensor_parallel'") as caught:
        VllmOptions.of({"tensor_parallel": 2})
    assert "Did you mean tensor_parallel_size" in caught.value.message


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("tensor_parallel_size", "two", "tensor_parallel_size: it should be a valid integer"),
        ("gpu_memory_utilization", [], "gpu_memory_utilization: it should be a valid number"),
        ("enforce_eager", "yes", "enforce_eager: it should be a valid boolean"),
        ("dtype", "float8", "dtype: it should be 'auto'"),
        ("device", 1, "device: it must be a text"),
    ],
)
def test_a_value_of_the_wrong_type_is_an_error(name: str, value: Any, reason: str) -> None:
    with pytest.raises(ModelLoadError, match=reason):
        VllmOptions.of({name: value})


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("model", "set path"),
        ("tokenizer", "set path"),
        ("max_num_seqs", "set max_concurrency"),
        ("logits_processors", "codeserve sets it itself"),
        ("structured_outputs_config", "codeserve sets it itself"),
    ],
)
def test_what_is_set_elsewhere_is_refused_with_the_place(name: str, instead: str) -> None:
    with pytest.raises(ModelLoadError, match=instead):
        VllmOptions.of({name: "x"})
