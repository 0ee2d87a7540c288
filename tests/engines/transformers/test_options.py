from typing import Any

import pytest

from codeserve.engines import registry
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.transformers.options import TransformersOptions
from codeserve.engines.types import EngineConfig


def test_an_unknown_option_names_the_valid_ones() -> None:
    with pytest.raises(ModelLoadError, match=r"`n_gpu_layers`.*Valid options: dtype, device"):
        TransformersOptions.of({"n_gpu_layers": 1})


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "int8"},
        {"device": "gpu"},
        {"device": "cuda:x"},
        {"device_map": "sequential"},
        {"n_threads": 0},
        {"n_batch": 0},
        {"kv_dtype": "q8_0"},
        {"cache_host_mib": -1},
        {"draft": "yes"},
    ],
)
def test_a_wrong_value_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ModelLoadError, match=next(iter(options))):
        TransformersOptions.of(options)


def test_one_option_alone_says_where_the_model_goes() -> None:
    with pytest.raises(ModelLoadError, match="give one of them"):
        TransformersOptions.of({"device": "cuda", "device_map": "auto"})


def an_engine(**changes: Any) -> object:
    values = {"engine": "transformers", "path": "nowhere"} | changes
    return registry.create(EngineConfig(**values))


@pytest.mark.parametrize(
    "options",
    [
        {"device": "cuda:9"},
        {"device": "mps"},
        {"device_map": {"model": 9}},
        {"device_map": {"model": "cuda:9"}},
    ],
)
def test_a_device_that_is_not_here_is_an_error_and_no_run_on_the_cpu(
    options: dict[str, Any],
) -> None:
    with pytest.raises(ModelLoadError, match=r"but PyTorch .* finds .*here"):
        an_engine(options=options)


def test_every_running_request_has_a_token_in_a_step() -> None:
    with pytest.raises(ModelLoadError, match="max_concurrency is 9, but n_batch=8"):
        an_engine(max_concurrency=9, options={"n_batch": 8})
