from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from codeserve.app.cli.launch_options import LaunchCommand, with_launch_options

Requests = list[Mapping[str, Any]]


def run(*arguments: str) -> tuple[Result, Requests]:
    """What a command with the options of a launch says, and the request that it gets."""
    requests: Requests = []

    def command(request: Mapping[str, Any], loud: bool = False) -> None:
        requests.append({**request, "loud": loud})

    cli = typer.Typer()
    cli.command(cls=LaunchCommand)(with_launch_options(command))
    return CliRunner().invoke(cli, arguments), requests


def request_of(*arguments: str) -> Mapping[str, Any]:
    result, requests = run("--model-name", "a", *arguments)
    assert result.exit_code == 0, result.stderr
    (request,) = requests
    return request


def refusal_of(*arguments: str) -> str:
    result, requests = run(*arguments)
    assert (result.exit_code, requests) == (2, [])
    return result.stderr


def test_what_is_not_said_is_left_to_the_server() -> None:
    assert request_of() == {"model_name": "a", "model_type": "LLM", "loud": False}


def test_xinferences_short_forms_mean_the_same_as_its_long_ones() -> None:
    short = "-en vLLM -s 1_3 -f pytorch -q none -u mine -r 2 -t LLM"
    long = "--model-engine vLLM --size-in-billions 1_3 --model-format pytorch --quantization none "
    long += "--model-uid mine --replica 2 --model-type LLM"
    assert request_of(*short.split()) == request_of(*long.split())


def test_our_own_options_go_by_the_names_of_the_api() -> None:
    words = "--context-length 4096 --max-concurrency 2 --load on_demand --idle-timeout 90 --pin"
    request = request_of(*words.split(), "--hub", "modelscope")
    assert request["context_length"] == 4096
    assert request["max_concurrency"] == 2
    assert request["load"] == "on_demand"
    assert request["idle_timeout"] == 90
    assert request["pinned"] is True
    assert request["hub"] == "modelscope"


def test_the_commands_own_options_stand_among_those_of_the_launch() -> None:
    assert request_of("--n_threads", "8", "--loud", "-q", "Q4_K_M")["loud"] is True


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("-1", -1),
        ("-1e-5", -1e-5),
        ("true", True),
        ("False", False),
        ("None", None),
        ("null", None),
        ("q8_0", "q8_0"),
        ("1_3", "1_3"),
        ("-e", "-e"),
        ("", ""),
        ('"8"', "8"),
        ("[0.5, 0.5]", [0.5, 0.5]),
        ('{"a": {"b": 1}}', {"a": {"b": 1}}),
        ("NaN", "NaN"),
    ],
)
def test_any_other_option_is_the_engines_with_its_value_parsed(text: str, value: object) -> None:
    assert request_of("--n_gpu_layers", text)["n_gpu_layers"] == value
    assert request_of(f"--n_gpu_layers={text}")["n_gpu_layers"] == value


def test_an_engines_option_may_be_written_with_dashes() -> None:
    assert request_of("--gpu-memory-utilization", "0.5")["gpu_memory_utilization"] == 0.5


def test_a_value_may_look_like_an_engines_option() -> None:
    assert request_of("--model-uid", "--odd")["model_uid"] == "--odd"


def test_an_engines_option_without_a_value_is_a_usage_error() -> None:
    assert "--n_threads VALUE" in refusal_of("-n", "a", "--n_threads")
    assert "--tune VALUE" in refusal_of("-n", "a", "--tune", "--n_threads", "8")


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("--qantization", "--quantization"),
        ("--model_uid", "--model-uid"),
        ("--modle-format", "--model-format"),
        ("--size-in-billion", "--size-in-billions"),
    ],
)
def test_a_slip_is_not_taken_for_an_engines_option(slip: str, meant: str) -> None:
    refusal = refusal_of("-n", "a", slip, "x")
    assert refusal == f"codeserve: there is no option {slip}. Did you mean {meant}?\n"


def test_nothing_to_launch_is_a_usage_error() -> None:
    assert "--model-name NAME" in refusal_of("-q", "none")


@pytest.mark.parametrize(("text", "n_gpu"), [("auto", "auto"), ("2", 2), ("0", 0), ("None", 0)])
def test_gpus_are_counted_or_left_to_the_server(text: str, n_gpu: object) -> None:
    assert request_of("--n-gpu", text)["n_gpu"] == n_gpu


def test_gpus_are_chosen_by_index() -> None:
    assert request_of("--gpu-idx", "0,2")["gpu_idx"] == [0, 2]


@pytest.mark.parametrize(
    "wrong", [("--n-gpu", "-1"), ("--gpu-idx", "a"), ("--replica", "0"), ("--load", "later")]
)
def test_a_wrong_value_is_a_usage_error_that_names_the_option(wrong: tuple[str, str]) -> None:
    assert wrong[0] in refusal_of("-n", "a", *wrong)


def test_a_path_counts_from_where_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert request_of("--model-path", "mine.gguf")["model_path"] == str(tmp_path / "mine.gguf")


def test_a_stray_word_is_a_usage_error() -> None:
    assert "stray" in refusal_of("-n", "a", "stray")
