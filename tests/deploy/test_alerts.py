"""Each alert is raised by what it is for, as ``promtool`` reckons."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.monitoring import alerts, panels, rule_groups

CASES = Path(__file__).with_name("alerts_test.yaml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The rules and what is expected of them, side by side."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed; it comes with Debian's package prometheus")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule_groups()))
    shutil.copy(CASES, tmp_path)
    return tmp_path


def promtool(folder: Path, *words: str) -> str:
    ran = subprocess.run(
        ["promtool", *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_rules_are_valid(folder: Path) -> None:
    assert f"{len(alerts())} rules found" in promtool(folder, "check", "rules", "rules.yaml")


def test_alerts_are_raised_by_what_they_are_for(folder: Path) -> None:
    assert "SUCCESS" in promtool(folder, "test", "rules", CASES.name)


def test_every_alert_has_a_case() -> None:
    cases = yaml.safe_load(CASES.read_text())["tests"]
    raised = {
        check["alertname"]
        for case in cases
        for check in case["alert_rule_test"]
        if check["exp_alerts"]
    }
    assert raised == set(alerts())


def test_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (place["x"] + column, place["y"] + row)
            for column in range(place["w"])
            for row in range(place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
