"""What ``codeserve doctor`` says of engines and GPUs."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codeserve.app.settings import Settings


def engines_report(settings: "Settings") -> dict[str, Any]:
    """The engines, the interpreters of the models' own, and the GPUs."""
    import msgspec

    from codeserve.app.environments.engines import Engines
    from codeserve.app.environments.machine import gpus
    from codeserve.app.environments.report import engine_reports, own_report

    reports = engine_reports(Engines(settings.server.engines))
    own = [
        own_report(model.id, model.engine, model.engine_python)
        for model in settings.models
        if model.engine is not None and model.engine_python is not None
    ]
    report: dict[str, Any] = msgspec.to_builtins(
        {
            "gpus": gpus(),
            "engines": {one.engine: one for one in reports},
            "engine_pythons": own,
        }
    )
    return report


def engine_findings(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What is wrong with engines and interpreters, which they tell themselves."""
    for one in (*report["engines"].values(), *report["engine_pythons"]):
        yield from one["findings"]


def engine_lines(report: Mapping[str, Any]) -> dict[str, str]:
    """A line for each engine and for each interpreter of a model's own."""
    own = {
        f"{one['engine']} of {one['model']}": f"{one['version'] or 'cannot run'}; {one['python']}"
        for one in report["engine_pythons"]
    }
    return {name: _line(one) for name, one in report["engines"].items()} | own


def gpu_line(gpu: Mapping[str, Any]) -> str:
    """A GPU in words."""
    capability = gpu["compute_capability"] and f"compute capability {gpu['compute_capability']}"
    driver = gpu["driver"] and f"driver {gpu['driver']}"
    details = ", ".join(filter(None, (gpu["memory"], capability, driver)))
    return f"{gpu['name']} ({details})" if details else str(gpu["name"])


def _line(engine: Mapping[str, Any]) -> str:
    if engine["version"] is None:
        return f"{engine['state']}; {engine['install']}"
    computes = {None: "does not start here", "cpu": "computes on the CPU"}
    parts = (
        engine["version"],
        engine["torch"] and f"torch {engine['torch']}",
        engine["build"]
        and f"build {engine['build']}, " + computes.get(engine["device"], "computes on the GPU"),
        "outdated" if engine["state"] == "outdated" else None,
        engine["location"],
        engine["bytes"] and f"{engine['bytes'] / 1e9:.1f} GB",
    )
    return "; ".join(filter(None, parts))
