from pathlib import Path
from typing import Any

import pytest

from codeserve.app.manager.machine import this_machine, visible_gpus
from codeserve.app.manager.placement import ANYWHERE, Machine, Placement, options, place
from codeserve.app.model_settings import ModelSettings
from codeserve.engines.errors import InvalidRequest

CPU_ONLY = Machine(cores=((0, 4), (1, 5), (2, 6), (3, 7)))
FOUR_GPUS = Machine(gpus=(0, 1, 2, 3), cores=CPU_ONLY.cores)


def model(**settings: Any) -> ModelSettings:
    return ModelSettings(id="coder", model_name="deepseek-coder", **settings)


def gpus(settings: ModelSettings, machine: Machine = FOUR_GPUS, engine: str = "vllm") -> Any:
    return [placement.gpus for placement in place(settings, engine, machine)]


def cores(settings: ModelSettings, machine: Machine = CPU_ONLY) -> Any:
    return [placement.cores for placement in place(settings, "llama.cpp", machine)]


def test_one_worker_may_use_the_whole_machine() -> None:
    assert place(model(), "llama.cpp", FOUR_GPUS) == (ANYWHERE,)
    assert place(model(n_gpu=0), "llama.cpp", CPU_ONLY) == (ANYWHERE,)


def test_replicas_get_a_gpu_each_unless_said_otherwise() -> None:
    assert gpus(model(replica=3)) == [(0,), (1,), (2,)]
    assert gpus(model(replica=2, n_gpu=2)) == [(0, 1), (2, 3)]
    assert gpus(model(replica=2, gpu_idx=(3, 1))) == [(3,), (1,)]
    assert gpus(model(replica=2, gpu_idx=(0, 1, 2, 3))) == [(0, 1), (2, 3)]
    assert gpus(model(n_gpu=1, gpu_idx=(2, 3))) == [(2,)]


def test_a_model_on_the_cpu_sees_no_gpu() -> None:
    assert place(model(n_gpu=0), "llama.cpp", FOUR_GPUS) == (Placement(gpus=()),)


@pytest.mark.parametrize("chosen", [{"n_gpu_layers": 0}, {"device": "cpu"}])
def test_replicas_that_compute_on_the_cpu_need_no_gpus(chosen: dict[str, Any]) -> None:
    assert gpus(model(replica=2, options=chosen)) == [(), ()]


def test_replicas_on_the_cpu_share_no_physical_core() -> None:
    assert cores(model(replica=2)) == [(0, 1, 4, 5), (2, 3, 6, 7)]
    assert cores(model(replica=3)) == [(0, 4), (1, 5), (2, 3, 6, 7)]


def test_replicas_run_anywhere_where_processes_cannot_be_confined() -> None:
    assert place(model(replica=2), "llama.cpp", Machine()) == (ANYWHERE, ANYWHERE)


@pytest.mark.parametrize(
    ("settings", "machine", "message"),
    [
        (
            {"replica": 5},
            CPU_ONLY,
            "replica: 5 replicas on the CPU need a physical core each, but this machine grants 4",
        ),
        (
            {"replica": 5},
            FOUR_GPUS,
            "replica: 5 replicas need 5 GPUs, but this machine has GPU 0, GPU 1, GPU 2, GPU 3; "
            "set n_gpu to 0 to compute on the CPU",
        ),
        (
            {"replica": 3, "n_gpu": 2},
            FOUR_GPUS,
            "n_gpu is 2, 6 for 3 replicas, but this machine has GPU 0",
        ),
        (
            {"n_gpu": 1},
            CPU_ONLY,
            "n_gpu is 1, but this machine has no GPU that NVIDIA's driver knows; set n_gpu to 0",
        ),
        ({"n_gpu": 2, "gpu_idx": (1,)}, FOUR_GPUS, "but gpu_idx names 1"),
        ({"gpu_idx": (1, 7)}, FOUR_GPUS, "gpu_idx: there is no GPU 7; this machine has GPU 0"),
        ({"gpu_idx": (1, 1)}, FOUR_GPUS, "gpu_idx: name at least one GPU, and none twice"),
        ({"gpu_idx": ()}, FOUR_GPUS, "gpu_idx: name at least one GPU, and none twice"),
        ({"gpu_idx": (1,), "n_gpu": 0}, FOUR_GPUS, "n_gpu is 0, but gpu_idx names GPUs"),
        ({"gpu_idx": (0, 1, 2), "replica": 2}, FOUR_GPUS, "cannot share evenly"),
    ],
)
def test_what_the_machine_has_not_is_refused(
    settings: dict[str, Any], machine: Machine, message: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        place(model(**settings), "vllm", machine)
    assert message in refusal.value.message


@pytest.mark.parametrize(
    ("engine", "settings", "expected"),
    [
        ("llama.cpp", {}, {}),
        ("llama.cpp", {"n_gpu": 0}, {"n_gpu_layers": 0}),
        ("llama.cpp", {"n_gpu": 2}, {"n_gpu_layers": -1}),
        ("llama.cpp", {"n_gpu": 2, "options": {"n_gpu_layers": 20}}, {"n_gpu_layers": 20}),
        ("transformers", {"n_gpu": 0}, {"device": "cpu"}),
        ("transformers", {"n_gpu": 1}, {"device": "cuda"}),
        ("transformers", {"gpu_idx": (0, 1)}, {"device_map": "auto"}),
        (
            "transformers",
            {"n_gpu": 2, "options": {"device_map": "balanced"}},
            {"device_map": "balanced"},
        ),
        ("vllm", {"n_gpu": 0}, {"device": "cpu"}),
        ("vllm", {"n_gpu": 1}, {"device": "cuda"}),
        ("vllm", {"n_gpu": 4}, {"device": "cuda", "tensor_parallel_size": 4}),
        (
            "vllm",
            {"n_gpu": 4, "options": {"pipeline_parallel_size": 4}},
            {"device": "cuda", "pipeline_parallel_size": 4},
        ),
        ("fake", {"n_gpu": 1}, {}),
    ],
)
def test_engines_are_told_in_their_own_words(
    engine: str, settings: dict[str, Any], expected: dict[str, Any]
) -> None:
    chosen = model(**settings)
    assert options(engine, chosen, place(chosen, engine, FOUR_GPUS)[0]) == expected


@pytest.mark.parametrize(
    ("visible", "expected"),
    [(None, (0, 1, 2)), ("2,0", (2, 0)), ("", ()), ("-1", ()), ("GPU-8932f937", (0, 1, 2))],
)
def test_gpus_that_are_hidden_from_the_server_are_not_given_to_workers(
    visible: str | None, expected: tuple[int, ...]
) -> None:
    assert visible_gpus(3, visible) == expected


def test_hyper_threads_of_one_core_stay_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cpu, (package, core) in enumerate([(1, 0), (0, 0), (1, 0), (0, 1)]):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{package}\n")
        (topology / "core_id").write_text(f"{core}\n")
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    assert this_machine(tmp_path).cores == ((1,), (3,), (0, 2))
