import pytest

from codeserve.app.environments.abilities import Weights
from codeserve.app.environments.choice import choose
from codeserve.app.environments.engines import Installation
from codeserve.app.environments.needs import Device
from codeserve.engines.errors import InvalidRequest


class Machine:
    """A machine on which some builds of engines are installed."""

    names = ("fake", "llama.cpp", "mine", "transformers", "vllm")

    def __init__(self, *, has_gpu: bool = False, **builds: Device) -> None:
        self.has_gpu = has_gpu
        self._builds: dict[str, Device] = {"llama.cpp": "cpu", "mine": "cpu", **builds}

    def find(self, engine: str) -> Installation | None:
        build = self._builds.get(engine)
        return None if build is None else Installation(engine=engine, build=build)


CPU = Machine(vllm="cpu", transformers="cpu")
GPU = Machine(has_gpu=True, vllm="cuda", transformers="cuda")


def refusal(asked: str | None, weights: Weights, machine: Machine) -> str:
    with pytest.raises(InvalidRequest) as caught:
        choose(asked, weights, machine)
    assert caught.value.param == "engine"
    return caught.value.message


@pytest.mark.parametrize("machine", [CPU, GPU])
@pytest.mark.parametrize(
    ("weights", "engine"),
    [
        (Weights.GGUF, "llama.cpp"),
        (Weights.FULL, "vllm"),
        (Weights.GPTQ, "vllm"),
        (Weights.ORDERED_GPTQ, "transformers"),
        (Weights.UNREAD_GPTQ, "transformers"),
        (Weights.AWQ, "vllm"),
        (Weights.FOUR_BIT, "transformers"),
        (Weights.EIGHT_BIT, "transformers"),
    ],
)
def test_where_all_is_installed_each_kind_of_weights_has_its_best_engine(
    weights: Weights, engine: str, machine: Machine
) -> None:
    assert choose(None, weights, machine).engine == engine


@pytest.mark.parametrize(
    ("machine", "engine", "place"),
    [
        (Machine(transformers="cpu"), "transformers", "on the CPU"),
        (Machine(vllm="cuda", transformers="cpu"), "transformers", "on the CPU"),
        (Machine(vllm="cpu", transformers="cuda"), "vllm", "on the CPU"),
        (Machine(has_gpu=True, vllm="cpu", transformers="cuda"), "transformers", "on the GPU"),
        (Machine(has_gpu=True, vllm="cpu"), "vllm", "no installed engine has a build for the GPU"),
    ],
)
def test_what_is_not_installed_or_does_not_fit_the_machine_is_passed_over(
    machine: Machine, engine: str, place: str
) -> None:
    choice = choose(None, Weights.FULL, machine)
    assert choice.engine == engine
    assert place in choice.reason


def test_where_nothing_is_installed_each_possible_engine_comes_with_its_command() -> None:
    message = refusal(None, Weights.AWQ, Machine())
    assert "vllm: codeserve engines install vllm;" in message
    assert "transformers: codeserve engines install transformers" in message
    assert "install vllm" not in refusal(None, Weights.FOUR_BIT, Machine())


def test_a_build_that_cannot_start_here_is_named_where_nothing_else_is_installed() -> None:
    assert "its build for CUDA, but there is no" in refusal(
        None, Weights.FULL, Machine(vllm="cuda")
    )


@pytest.mark.parametrize(
    ("asked", "weights", "machine", "possible"),
    [
        ("vllm", Weights.GGUF, CPU, "llama.cpp"),
        ("llama.cpp", Weights.GPTQ, CPU, "vllm, transformers"),
        ("vllm", Weights.EIGHT_BIT, GPU, "transformers"),
        ("vllm", Weights.FOUR_BIT, GPU, "transformers"),
        ("vllm", Weights.ORDERED_GPTQ, GPU, "transformers"),
    ],
)
def test_an_impossible_combination_lists_the_possible_engines(
    asked: str, weights: Weights, machine: Machine, possible: str
) -> None:
    assert refusal(asked, weights, machine).endswith(f"Engines that can: {possible}.")


def test_vllm_may_be_asked_for_gptq_weights_of_which_nothing_is_known() -> None:
    assert choose("vllm", Weights.UNREAD_GPTQ, CPU).engine == "vllm"


def test_an_engine_that_is_asked_for_and_not_installed_is_refused_with_the_command() -> None:
    assert refusal("vllm", Weights.FULL, Machine()) == (
        "The engine 'vllm' is not installed. Install it with: codeserve engines install vllm"
    )


def test_an_engine_that_does_not_exist_is_refused_without_offering_the_tests_own() -> None:
    assert refusal("vlm", Weights.FULL, CPU).endswith(
        "There are: llama.cpp, mine, transformers, vllm."
    )


def test_an_engine_of_another_package_may_load_what_the_catalogue_or_the_user_says() -> None:
    assert choose(None, Weights.FULL, Machine(), among=("mine", "vllm")).engine == "mine"
    assert choose("mine", Weights.GGUF, CPU).engine == "mine"


def test_an_environment_of_another_version_is_used_and_said() -> None:
    class Outdated(Machine):
        def find(self, engine: str) -> Installation | None:
            return Installation(engine=engine, build="cpu", outdated=True)

    choice = choose("vllm", Weights.FULL, Outdated())
    assert "renew it with `codeserve engines install vllm`" in choice.reason
