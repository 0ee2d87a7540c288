"""What is planned before loading, and what is refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from codeserve.app.environments.engines import Installation
from codeserve.app.manager.resolution import Resolution, resolve
from codeserve.app.memory.anywhere import Anywhere
from codeserve.app.memory.gpus import GpuMemory
from codeserve.app.memory.ledger import Ledger, Subject, entry_of
from codeserve.app.memory.planner import Planner
from codeserve.app.memory.requirement import HOST, Requirement
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.errors import InsufficientMemory
from codeserve.model_specs.catalog import Catalog
from tests.app.manager.test_resolution import Machine
from tests.models.checkpoints import Checkpoint

GB = 10**9
PUBLISHED_33B = json.loads(
    """{"Q2_K": 16.53, "Q3_K_S": 16.92, "Q3_K_M": 18.57, "Q3_K_L": 20.06, "Q4_0": 21.32,
    "Q4_K_S": 21.39, "Q4_K_M": 22.44, "Q5_0": 25.46, "Q5_K_S": 25.46, "Q5_K_M": 26.04,
    "Q6_K": 29.86, "Q8_0": 37.93}"""
)
"""Gigabytes of memory by the model card of deepseek-coder-33B-instruct-GGUF."""


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "memory.json")


def planner(ledger: Ledger, max_memory: str = "64GB") -> Planner:
    return Planner(ServerSettings.model_validate({"max_memory": max_memory}), ledger)


def resolved(catalog: Catalog, **settings: Any) -> Resolution:
    model = ModelSettings.model_validate(settings)
    return resolve(model, catalog, Anywhere(Machine("fake", "llama.cpp")))


def coder(catalog: Catalog, size: str = "33", **settings: Any) -> Resolution:
    return resolved(
        catalog, model_name="deepseek-coder-instruct", size_in_billions=size, **settings
    )


@pytest.mark.parametrize(("quantization", "published"), PUBLISHED_33B.items())
def test_33b_instruct_needs_what_its_model_card_says_at_a_small_context(
    catalog: Catalog, ledger: Ledger, quantization: str, published: float
) -> None:
    model = coder(catalog, quantization=quantization, context_length=8192, max_concurrency=1)
    requirement = planner(ledger).requirement(model, None)
    assert requirement.total == pytest.approx(published * GB, rel=0.05)


def test_the_plan_shows_the_cards_figures_for_every_quantisation_whatever_is_asked_for(
    catalog: Catalog, ledger: Ledger
) -> None:
    plan = planner(ledger).plan(coder(catalog, context_length=512, max_concurrency=2), None)
    assert {row.quantization: row.small_context_bytes for row in plan.quantizations} == {
        name: pytest.approx(published * GB, rel=0.05) for name, published in PUBLISHED_33B.items()
    }


def test_the_cache_grows_with_context_and_concurrency_and_is_counted_once(
    catalog: Catalog, ledger: Ledger
) -> None:
    def needed(context_length: int, max_concurrency: int) -> Requirement:
        model = coder(catalog, context_length=context_length, max_concurrency=max_concurrency)
        return planner(ledger).requirement(model, None)

    one, four = needed(4096, 1), needed(4096, 4)
    assert one.kv_bytes == (4096 + 256) * 62 * 8 * 128 * 2 * 2
    assert four.kv_bytes == (4 * 4096 + 256) * 62 * 8 * 128 * 2 * 2
    assert four.weights_bytes == one.weights_bytes == round(19.94 * GB)
    assert four.total == four.weights_bytes + four.kv_bytes + (four.overhead_bytes or 0)
    assert needed(8192, 2).kv_bytes == four.kv_bytes


def test_a_file_on_this_machine_is_believed_over_the_catalogue(
    catalog: Catalog, ledger: Ledger, tiny_deepseek_gguf: Path
) -> None:
    model = coder(catalog, size="1_3")
    requirement = planner(ledger).requirement(model, tiny_deepseek_gguf)
    assert requirement.weights_bytes == tiny_deepseek_gguf.stat().st_size


def test_what_does_not_fit_is_refused_with_numbers_and_with_what_would_fit(
    catalog: Catalog, ledger: Ledger
) -> None:
    small = planner(ledger, "24GB")
    model = coder(catalog, quantization="Q4_K_M", context_length=8192, max_concurrency=4)
    with pytest.raises(InsufficientMemory) as caught:
        small.check(model, small.requirement(model, None))
    message = caught.value.message
    assert caught.value.code == "insufficient_memory"
    assert "\n" not in message
    assert "weights 19.9 GB, KV cache 8.39 GB for 4 x 8192 tokens, overhead 0." in message
    assert "24.0 GB of main memory for models" in message
    assert "What would fit: quantization Q3_K_S (" in message
    (context,) = (part for part in message.split("; ") if "context_length" in part)
    length = int(context.split()[-1].rstrip("."))
    fitting = coder(catalog, quantization="Q4_K_M", context_length=length, max_concurrency=4)
    small.check(fitting, small.requirement(fitting, None))
    longer = coder(catalog, quantization="Q4_K_M", context_length=length + 256, max_concurrency=4)
    with pytest.raises(InsufficientMemory):
        small.check(longer, small.requirement(longer, None))
    fewer = coder(catalog, quantization="Q4_K_M", context_length=8192, max_concurrency=1)
    assert "max_concurrency 1" in message
    small.check(fewer, small.requirement(fewer, None))


def test_where_nothing_would_fit_a_smaller_model_is_advised(
    catalog: Catalog, ledger: Ledger
) -> None:
    tight, model = planner(ledger, "1GB"), coder(catalog, context_length=512)
    with pytest.raises(InsufficientMemory, match="take a smaller model"):
        tight.check(model, tight.requirement(model, None))


def test_every_replica_needs_its_own_memory(catalog: Catalog, ledger: Ledger) -> None:
    settings: dict[str, Any] = {"size": "1_3", "context_length": 2048, "max_concurrency": 1}
    one, three = coder(catalog, **settings), coder(catalog, **settings, replica=3)
    limited = planner(ledger, "3GB")
    requirement = limited.requirement(three, None)
    assert requirement.total == limited.requirement(one, None).total
    limited.check(one, requirement)
    with pytest.raises(InsufficientMemory, match="each of 3 replicas needs"):
        limited.check(three, requirement)


@pytest.mark.parametrize("size", ["1_3", "6_7", "7", "33"])
@pytest.mark.parametrize(
    ("engine", "model_format"),
    [
        ("llama.cpp", "ggufv2"),
        ("vllm", "pytorch"),
        ("vllm", "awq"),
        ("transformers", "pytorch"),
        ("transformers", "gptq"),
    ],
)
def test_every_spec_of_the_catalogue_can_be_planned(
    catalog: Catalog, ledger: Ledger, size: str, engine: str, model_format: str
) -> None:
    if size == "7" and model_format in ("awq", "gptq"):
        pytest.skip("there is no such spec")
    model = coder(catalog, size=size, engine=engine, model_format=model_format)
    plan = planner(ledger).plan(model, None)
    assert plan.total_bytes is not None
    assert plan.requirement.context_length is not None
    assert 256 <= plan.requirement.context_length <= 8192
    assert plan.quantizations


def test_four_bits_take_less_than_eight_and_eight_less_than_sixteen(
    catalog: Catalog, ledger: Ledger
) -> None:
    model = coder(catalog, size="6_7", engine="transformers", model_format="pytorch")
    rows = planner(ledger).plan(model, None).quantizations
    sizes = {row.quantization: row.weights_bytes for row in rows}
    assert sizes["4-bit"] < sizes["8-bit"] < sizes["none"]
    assert sizes["none"] in (2 * 6_740_512_768, 4 * 6_740_512_768)


def test_what_cannot_be_known_is_never_refused(
    catalog: Catalog, ledger: Ledger, tmp_path: Path
) -> None:
    tight = planner(ledger, "1")
    fake = resolved(catalog, path="/nowhere", engine="fake")
    damaged = tmp_path / "a.gguf"
    damaged.write_bytes(b"GGUF")
    broken = resolved(catalog, path=damaged, engine="llama.cpp")
    for model, path in ((fake, None), (broken, damaged)):
        requirement = tight.requirement(model, path)
        assert requirement.total is None
        assert requirement.needs == {}
        tight.check(model, requirement)


def test_options_that_the_engine_will_refuse_are_left_to_it(
    catalog: Catalog, ledger: Ledger
) -> None:
    model = coder(catalog, options={"type_k": "q17"})
    assert planner(ledger).requirement(model, None).total is None


def test_a_quantised_cache_and_a_prefix_cache_that_was_asked_for_are_counted(
    catalog: Catalog, ledger: Ledger
) -> None:
    def needed(**options: Any) -> Requirement:
        return planner(ledger).requirement(
            coder(catalog, context_length=4096, options=options), None
        )

    plain, small, cached = needed(), needed(type_k="q8_0", type_v="q8_0"), needed(cache_host_mib=64)
    assert (small.kv_bytes or 0) / (plain.kv_bytes or 1) == pytest.approx(8.5 / 16)
    assert (cached.overhead_bytes or 0) - (plain.overhead_bytes or 0) == 64 * 1024**2


def test_the_machine_limits_what_nobody_has(ledger: Ledger) -> None:
    limits = Planner(ServerSettings(), ledger).limits()
    assert limits[HOST] > 100 * 1024**2
    assert planner(ledger, "5GB").limits()[HOST] == 5 * GB


def test_a_folder_is_planned_by_its_own_headers(
    catalog: Catalog, ledger: Ledger, tiny_deepseek_folder: Path
) -> None:
    model = resolved(
        catalog,
        path=tiny_deepseek_folder,
        engine="transformers",
        context_length=1024,
        max_concurrency=2,
    )
    requirement = planner(ledger).requirement(model, tiny_deepseek_folder)
    stored = (tiny_deepseek_folder / "model.safetensors").stat().st_size
    assert requirement.weights_bytes == pytest.approx(stored, rel=0.01)
    assert requirement.kv_bytes == (2 * 1024 + 256) * 4 * 2 * 32 * 2 * 4


def test_a_quantised_folder_is_planned_as_it_is_stored(
    catalog: Catalog, ledger: Ledger, checkpoints: Mapping[str, Checkpoint]
) -> None:
    folder = checkpoints["gptq"].folder
    model = resolved(catalog, path=folder, engine="transformers", context_length=1024)
    stored = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    requirement = planner(ledger).requirement(model, folder)
    assert requirement.weights_bytes == pytest.approx(stored, rel=0.01)


def test_the_weights_of_a_model_on_two_gpus_are_shared() -> None:
    requirement = Requirement(
        device="cuda",
        gpus=(2, 3),
        weights_bytes=10,
        kv_bytes=4,
        overhead_bytes=3,
        host_bytes=1,
    )
    assert requirement.needs == {HOST: 1, "gpu2": 8, "gpu3": 8}


def test_vllm_takes_its_share_of_each_gpu(
    catalog: Catalog, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus = (GpuMemory(0, 48 * GB, 47 * GB), GpuMemory(1, 48 * GB, 47 * GB))
    monkeypatch.setattr("codeserve.app.memory.planner.gpu_memories", lambda: gpus)
    monkeypatch.setattr(
        "codeserve.app.memory.planner.Engines.find",
        lambda self, engine: Installation(engine=engine, build="cuda"),
    )
    model = coder(
        catalog, engine="vllm", model_format="pytorch", options={"tensor_parallel_size": 2}
    )
    requirement = planner(ledger).requirement(model, None)
    assert requirement.gpus == (0, 1)
    assert requirement.needs["gpu0"] == pytest.approx(0.92 * 48 * GB, rel=0.001)
    planner(ledger).check(model, requirement)
    one = coder(catalog, engine="vllm", model_format="pytorch", n_gpu=1)
    with pytest.raises(InsufficientMemory, match=r"47\.5 GB of GPU 0"):
        planner(ledger).check(one, planner(ledger).requirement(one, None))


def test_what_was_measured_is_trusted_for_exactly_the_same_configuration(
    catalog: Catalog, ledger: Ledger, smollm2_path: Path
) -> None:
    one, other = (
        resolved(catalog, path=smollm2_path, context_length=length) for length in (1024, 2048)
    )
    status = smollm2_path.stat()
    subject = Subject(
        weights=((smollm2_path.name, status.st_size, status.st_mtime_ns),),
        engine="llama.cpp",
        python=one.choice.python,
        quantization=None,
        context_length=1024,
        max_concurrency=4,
        options={},
        gpus=0,
    )
    ledger.keep(subject, entry_of("smollm2", 7 * GB, 0))
    known = planner(ledger).requirement(one, smollm2_path)
    assert known.measured_bytes is not None
    assert known.total == known.measured_bytes > 7 * GB > (known.planned or 0)
    assert planner(ledger).requirement(other, smollm2_path).measured_bytes is None
