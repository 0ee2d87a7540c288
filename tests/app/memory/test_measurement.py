"""Plans against what real llama.cpp workers take."""

import asyncio
from pathlib import Path

import psutil
import pytest

from codeserve.app.memory.gpus import gpu_memories
from codeserve.app.memory.ledger import Ledger
from codeserve.app.memory.measurement import Measurement, measure
from codeserve.app.memory.planner import Planner
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.types import TextRequest
from codeserve.model_specs.segments import Content
from tests.app.memory.baseline import Baseline
from tests.app.memory.workers import Loaded, loaded, resolved

MB = 10**6
BOUND = 0.2
"""How far a plan may be from what is measured, as a share of it, or ..."""
SLACK = 60 * MB
"""... in bytes, which matters for the tiniest models only, of which most is the process."""


def settings(path: Path, **options: object) -> ModelSettings:
    return ModelSettings(
        path=path,
        engine="llama.cpp",
        context_length=1024,
        max_concurrency=2,
        options={"tune": False, "cache_host_mib": 0, **options},
    )


async def fill_cache(model: Loaded) -> None:
    """Two requests at once, each of nearly the whole context, that share no prefix."""

    async def run(number: int) -> None:
        request = TextRequest(
            id=str(number),
            prompt=(Content(f"{number} = x + {number}\n" * 400),),
            truncate_prompt_tokens=1000,
            max_tokens=4,
            ignore_eos=True,
        )
        async for _ in await model.session.client.generate(request):
            pass

    await asyncio.gather(run(1), run(2))


@pytest.mark.parametrize("model", ["smollm2_path", "tiny_deepseek_gguf"])
@pytest.mark.parametrize("repack", [True, False])
async def test_a_plan_is_near_what_a_full_worker_takes(
    tmp_path: Path, request: pytest.FixtureRequest, model: str, repack: bool
) -> None:
    path: Path = request.getfixturevalue(model)
    planner = Planner(ServerSettings(), Ledger(tmp_path / "memory.json"))
    async with loaded(settings(path, repack=repack)) as worker:
        fresh = measure([worker.pid], [path])
        taken = planner.record(worker.resolution, path, [worker.pid])
        await fill_cache(worker)
        full = measure([worker.pid], [path])
    assert fresh is not None
    assert full is not None
    assert taken is not None
    planned = Planner(ServerSettings(), Ledger(tmp_path / "none.json")).requirement(
        worker.resolution, path
    )
    trusted = planner.requirement(worker.resolution, path)
    assert worker.info.context_length == planned.context_length
    peak = taken + full.own_bytes - fresh.own_bytes
    assert planned.total is not None
    assert planned.total == pytest.approx(peak, rel=BOUND, abs=SLACK)
    assert trusted.measured_bytes is not None
    assert trusted.total is not None
    assert trusted.total == pytest.approx(peak, rel=BOUND, abs=SLACK)
    assert trusted.total >= taken


async def test_weights_count_once_whether_mapped_or_copied(smollm2_path: Path) -> None:
    async with loaded(settings(smollm2_path, repack=False)) as worker:
        mapped = measure([worker.pid], [smollm2_path])
    async with loaded(settings(smollm2_path, use_mmap=False, repack=False)) as worker:
        read = measure([worker.pid], [smollm2_path])
    assert mapped is not None
    assert read is not None
    assert mapped.mapped_bytes == pytest.approx(98 * MB, rel=0.05)
    assert read.mapped_bytes == 0
    assert mapped.host_bytes(200 * MB) == pytest.approx(read.host_bytes(200 * MB), rel=0.2)


def test_copies_of_mapped_weights_are_not_counted_again() -> None:
    process = 80
    assert Measurement(own_bytes=70, mapped_bytes=900).host_bytes(process) == 970
    assert Measurement(own_bytes=980, mapped_bytes=900).host_bytes(process) == 980
    assert Measurement(own_bytes=500, mapped_bytes=900).host_bytes(process) == 980
    assert Measurement(own_bytes=70, mapped_bytes=0).host_bytes(process) == 70


async def test_after_the_worker_has_ended_memory_is_back(smollm2_path: Path) -> None:
    baseline = Baseline.take()
    async with loaded(settings(smollm2_path)) as worker:
        pids = baseline.new_processes()
        assert worker.pid in pids
    assert baseline.new_processes() == set()
    assert baseline.new_gpu_bytes() == {}
    assert measure([worker.pid], []) is None


async def test_replicas_are_measured_together_and_remembered_one_by_one(
    smollm2_path: Path, tmp_path: Path
) -> None:
    planner = Planner(ServerSettings(), Ledger(tmp_path / "memory.json"))
    async with loaded(settings(smollm2_path)) as one, loaded(settings(smollm2_path)) as two:
        alone = planner.record(one.resolution, smollm2_path, [one.pid])
        remembered = planner.requirement(one.resolution, smollm2_path).measured_bytes
        both = planner.record(one.resolution, smollm2_path, [one.pid, two.pid])
    assert alone is not None
    assert both is not None
    assert both == pytest.approx(2 * alone, rel=0.1)
    again = planner.requirement(one.resolution, smollm2_path).measured_bytes
    assert remembered is not None
    assert again == pytest.approx(remembered, rel=0.1)


def test_a_worker_that_has_ended_takes_nothing(smollm2_path: Path, tmp_path: Path) -> None:
    planner = Planner(ServerSettings(), Ledger(tmp_path / "memory.json"))
    gone = max(psutil.pids()) + 100_000
    assert planner.record(resolved(settings(smollm2_path)), smollm2_path, [gone]) is None


def test_without_a_driver_there_are_no_gpus() -> None:
    assert isinstance(gpu_memories(), tuple)
