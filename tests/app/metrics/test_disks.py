import threading
from pathlib import Path

import pytest
from prometheus_client import Metric

from codeserve.app.disk_space import DiskSpace
from codeserve.app.metrics import disks
from codeserve.app.metrics.disks import Disks


def folders(metric: Metric) -> dict[str, float]:
    return {sample.labels["folder"]: sample.value for sample in metric.samples}


async def test_a_folder_that_is_not_there_yet_is_measured_where_it_will_be(tmp_path: Path) -> None:
    free, size = await Disks({"store": tmp_path / "not" / "yet"}).collect()

    assert folders(size) == {"store": DiskSpace.at(tmp_path).size}
    assert 0 < folders(free)["store"] <= folders(size)["store"]


async def test_a_folder_that_cannot_be_asked_has_no_value(tmp_path: Path) -> None:
    too_long = tmp_path / ("x" * 300)

    free, size = await Disks({"here": tmp_path, "nowhere": too_long}).collect()

    assert folders(free).keys() == folders(size).keys() == {"here"}


async def test_a_disk_that_hangs_is_not_waited_for_and_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back, asked = threading.Event(), []

    def hang(folder: Path) -> DiskSpace:
        asked.append(folder)
        assert back.wait(60)
        return DiskSpace(free=1, size=2)

    monkeypatch.setattr(DiskSpace, "at", hang)
    monkeypatch.setattr(disks, "PATIENCE", 0.01)
    measured = Disks({"store": tmp_path})
    for _ in range(3):
        free, size = await measured.collect()
        assert not free.samples
        assert not size.samples
    assert asked == [tmp_path]

    back.set()
    monkeypatch.setattr(disks, "PATIENCE", 60)
    free, _ = await measured.collect()
    assert folders(free) == {"store": 1}
