"""The alerts and the dashboard, and what they ask Prometheus."""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from tests.deploy.manifests import DEPLOY

RULES = DEPLOY / "prometheus" / "rules.yaml"
DASHBOARD = DEPLOY / "grafana" / "codeserve.json"


def rule_groups() -> dict[str, Any]:
    """The rules as a rules file of plain Prometheus."""
    spec: dict[str, Any] = yaml.safe_load(RULES.read_text())["spec"]
    return spec


def alerts() -> dict[str, str]:
    """The expression of each alert."""
    return {
        rule["alert"]: rule["expr"] for group in rule_groups()["groups"] for rule in group["rules"]
    }


def severities() -> dict[str, str]:
    """The severity of each alert."""
    return {
        rule["alert"]: rule["labels"]["severity"]
        for group in rule_groups()["groups"]
        for rule in group["rules"]
    }


def panels() -> list[dict[str, Any]]:
    """Those of the dashboard that show something."""
    dashboard = json.loads(DASHBOARD.read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def panel_queries() -> Iterator[tuple[str, str]]:
    """Each panel's title and queries, with the dashboard's variables filled in."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for variable in ("$namespace", "$model"):
                expression = expression.replace(variable, ".*")
            yield panel["title"], expression.replace("$__rate_interval", "1m")
