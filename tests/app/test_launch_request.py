from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from codeserve.app.launch_request import MEANINGLESS, LaunchRequest
from codeserve.app.model_settings import ModelSettings
from codeserve.engines.errors import InvalidRequest, UnsupportedFeature
from codeserve.model_specs.spec import Hub


def settings(**fields: Any) -> ModelSettings:
    return LaunchRequest(**{"model_name": "deepseek-coder", **fields}).settings()


def test_the_body_of_xinferences_client_is_a_model_of_the_catalogue() -> None:
    request = LaunchRequest.model_validate(
        {
            "model_uid": None,
            "model_name": "deepseek-coder",
            "model_engine": "vLLM",
            "peft_model_config": None,
            "model_type": "LLM",
            "model_size_in_billions": "1_3",
            "model_format": "pytorch",
            "quantization": "none",
            "replica": 1,
            "n_worker": 1,
            "n_gpu": "auto",
            "request_limits": None,
            "worker_ip": None,
            "gpu_idx": None,
            "replica_config": None,
            "model_path": None,
            "enable_thinking": None,
            "enable_virtual_env": None,
            "virtual_env_packages": None,
            "virtual_env_find_links": None,
            "envs": None,
        }
    )
    assert request.settings() == ModelSettings(
        model_name="deepseek-coder",
        engine="vllm",
        size_in_billions="1_3",
        model_format="pytorch",
        quantization="none",
    )


@pytest.mark.parametrize(
    ("size", "expected"), [("1_3", "1_3"), ("1.3", "1_3"), (1.3, "1_3"), (7, "7"), (33.0, "33")]
)
def test_sizes_may_be_written_as_clients_write_them(size: object, expected: str) -> None:
    assert settings(model_size_in_billions=size).size_in_billions == expected


@pytest.mark.parametrize(("n_gpu", "expected"), [("auto", "auto"), (2, 2), (0, 0), (None, 0)])
def test_no_gpus_are_asked_for_by_null(n_gpu: object, expected: object) -> None:
    assert settings(n_gpu=n_gpu).n_gpu == expected


def test_gpus_are_left_to_the_server_when_nothing_is_said() -> None:
    assert settings().n_gpu == "auto"


@pytest.mark.parametrize(("gpu_idx", "expected"), [(1, (1,)), ([0, 2], (0, 2)), (None, None)])
def test_one_gpu_or_several_may_be_named(gpu_idx: object, expected: object) -> None:
    assert settings(gpu_idx=gpu_idx).gpu_idx == expected


def test_what_is_no_field_is_an_option_of_the_engine_unless_it_is_null() -> None:
    options = settings(n_threads=4, flash_attn="on", draft_model=None).options
    assert options == {"n_threads": 4, "flash_attn": "on"}


def test_our_own_fields_are_honoured() -> None:
    model = settings(
        model_uid="org/coder",
        load="on_demand",
        idle_timeout=60,
        pinned=True,
        context_length=2048,
        max_concurrency=2,
        replica=2,
        download_hub="modelscope",
    )
    assert model == ModelSettings(
        id="org/coder",
        model_name="deepseek-coder",
        load="on_demand",
        idle_timeout=60,
        pinned=True,
        context_length=2048,
        max_concurrency=2,
        replica=2,
        hub=Hub.MODELSCOPE,
    )


def test_null_is_every_fields_default() -> None:
    fields = dict.fromkeys(LaunchRequest.model_fields.keys() - {"model_name", "n_gpu"})
    assert settings(**fields) == ModelSettings(model_name="deepseek-coder")


def test_the_name_beside_a_path_is_the_family_and_the_id() -> None:
    model = settings(
        model_path="/models/mine.gguf",
        model_size_in_billions="1_3",
        model_format="ggufv2",
        quantization="Q4_K_M",
    )
    assert model == ModelSettings(
        id="deepseek-coder", path=Path("/models/mine.gguf"), family="deepseek-coder"
    )


def test_a_path_alone_gives_the_id() -> None:
    model = LaunchRequest(model_path="/models/mine.gguf").settings()
    assert (model.id, model.family) == ("mine", None)


def test_a_folder_may_be_quantised_while_it_is_loaded() -> None:
    assert settings(model_path="/models/mine", quantization="4-bit").quantization == "4-bit"


def test_the_quantisation_of_a_quantised_folder_describes_it() -> None:
    model = settings(model_path="/models/mine", model_format="gptq", quantization="Int4")
    assert model.quantization is None


@pytest.mark.parametrize("name", MEANINGLESS)
def test_what_this_server_cannot_do_passes_only_when_it_asks_for_nothing(name: str) -> None:
    for neutral in (None, *MEANINGLESS[name]):
        assert settings(**{name: neutral}).options == {}
    with pytest.raises(UnsupportedFeature) as caught:
        settings(**{name: "something"})
    assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter")


def test_a_type_of_models_that_is_not_served_is_unsupported() -> None:
    with pytest.raises(UnsupportedFeature, match="'image'"):
        settings(model_type="image")


@pytest.mark.parametrize(
    ("fields", "param", "reason"),
    [
        ({"model_name": None}, "model_name", "Missing required parameter"),
        ({"hub": "huggingface", "download_hub": "modelscope"}, "download_hub", "mean the same"),
        ({"model_uid": "a b"}, "model_uid", "no id"),
        ({"model_uid": "/a"}, "model_uid", "no id"),
        ({"model_uid": "a//b"}, "model_uid", "no id"),
        ({"model_uid": "a?b"}, "model_uid", "no id"),
        ({"model_uid": "a/.."}, "model_uid", "no id"),
        ({"model_uid": "org/logs"}, "model_uid", "must not end in 'logs'"),
        ({"model_path": "/a.gguf", "model_format": "awq"}, "model_format", "ggufv2"),
        ({"model_path": "/a", "model_format": "ggufv2"}, "model_format", "pytorch or gptq or awq"),
        ({"model_path": "/a", "quantization": "Q4"}, None, "none, 4-bit, 8-bit"),
        ({"n_threads": 10**30}, "n_threads", "64 bits"),
    ],
)
def test_contradictions_are_named(fields: dict[str, Any], param: str | None, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as caught:
        settings(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_uid", ""),
        ("model_uid", 1),
        ("model_name", ["a"]),
        ("model_engine", 1),
        ("model_size_in_billions", True),
        ("model_size_in_billions", -1),
        ("model_size_in_billions", float("inf")),
        ("model_format", 1),
        ("quantization", 4),
        ("model_type", 1),
        ("replica", 0),
        ("replica", "2"),
        ("n_gpu", -1),
        ("n_gpu", "all"),
        ("n_gpu", True),
        ("gpu_idx", [-1]),
        ("gpu_idx", "0"),
        ("model_path", 1),
        ("download_hub", "github"),
        ("load", "later"),
        ("idle_timeout", 0),
        ("idle_timeout", "1"),
        ("pinned", "yes"),
        ("context_length", 0),
        ("context_length", 2**31),
        ("max_concurrency", 0),
    ],
)
def test_a_wrong_value_is_refused_with_its_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(**{field: value})
    assert caught.value.errors()[0]["loc"][0] == field
