"""A real Alertmanager with the example configuration tells the right people of each alert."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.manifests import DEPLOY
from tests.deploy.monitoring import alerts, severities
from tests.deploy.processes import free_port, running
from tests.e2e.waiting import wait_until

CONFIG = DEPLOY / "prometheus" / "alertmanager.yaml"
PROGRAM = "prometheus-alertmanager"
"""As Debian calls it."""


@dataclass
class Alertmanager:
    url: str

    def raise_alerts(self, *alerts: dict[str, str]) -> None:
        """Tell it of alerts with these labels."""
        body = [{"labels": labels} for labels in alerts]
        httpx.post(f"{self.url}/api/v2/alerts", json=body, timeout=30).raise_for_status()

    def alerts(self) -> list[dict[str, Any]]:
        """Those that it knows."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/api/v2/alerts", timeout=30).json()
        return found

    def receivers(self) -> dict[str, str]:
        """Who is told, by the alert's name."""
        return {
            alert["labels"]["alertname"]: receiver["name"]
            for alert in self.alerts()
            for receiver in alert["receivers"]
        }

    def kept_back(self) -> set[str]:
        """Names of alerts of which nobody is told, as others explain them."""
        return {
            alert["labels"]["alertname"]
            for alert in self.alerts()
            if alert["status"]["state"] == "suppressed"
        }

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=30).is_success
        except httpx.TransportError:
            return False


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    """One of a test's own, as some alerts keep others back."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM}, a package of Debian, is not installed")
    address = f"127.0.0.1:{free_port()}"
    command = [PROGRAM, f"--config.file={CONFIG}", "--storage.path=data"]
    own = [f"--web.listen-address={address}", "--cluster.listen-address="]
    with running([*command, *own], tmp_path / "log"):
        found = Alertmanager(f"http://{address}")
        wait_until(found.answers, "Alertmanager")
        yield found


def test_amtool_finds_nothing_wrong() -> None:
    if shutil.which("amtool") is None:
        pytest.skip(f"amtool, of Debian's package {PROGRAM}, is not installed")
    checked = subprocess.run(
        ["amtool", "check-config", CONFIG], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_goes_to_whom_its_severity_calls(alertmanager: Alertmanager) -> None:
    alertmanager.raise_alerts(
        {"alertname": "NodeDown", "severity": "critical"},
        *({"alertname": name, "severity": severity} for name, severity in severities().items()),
    )

    called = {name: f"codeserve-{severity}" for name, severity in severities().items()}
    assert alertmanager.receivers() == {"NodeDown": "others", **called}


def test_a_model_that_is_down_explains_its_other_alerts(alertmanager: Alertmanager) -> None:
    labels = {"namespace": "llm", "model": "coder"}
    alertmanager.raise_alerts(
        {"alertname": "CodeserveModelDown", **labels},
        {"alertname": "CodeserveErrors", **labels},
        {"alertname": "CodeserveQueueOld", "pod": "a", **labels},
        {"alertname": "CodeserveModelFailed", **labels, "model": "another"},
        {"alertname": "CodeserveDiskFull", "namespace": "llm", "pod": "a"},
    )
    wait_until(
        lambda: alertmanager.kept_back() == {"CodeserveErrors", "CodeserveQueueOld"},
        "two alerts to be kept back",
    )


def test_where_nothing_is_seen_no_other_alert_matters(alertmanager: Alertmanager) -> None:
    others = set(alerts()) - {"CodeserveNotScraped"}
    labels = {"namespace": "llm", "pod": "a", "model": "coder"}
    alertmanager.raise_alerts(
        {"alertname": "CodeserveNotScraped"},
        {"alertname": "NodeDown"},
        *({"alertname": name, **labels} for name in others),
    )
    wait_until(lambda: alertmanager.kept_back() == others, "all alerts of servers to be kept back")
