"""What ``kubectl kustomize`` makes of deploy/."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
OVERLAYS = sorted(folder.name for folder in (DEPLOY / "overlays").iterdir())
OPTIONAL = (
    *("prometheus", "grafana", "components/external-keys"),
    *("components/gateway", "components/inference-pool"),
)
"""Components that no overlay has, because not every cluster has what they need."""
AUTOSCALERS = ("components/hpa", "components/keda")
KUBECTL = Path(sys.executable).parent / "kubectl"

Manifest = dict[str, Any]


def build(folder: Path) -> list[Manifest]:
    """The manifests of a kustomization."""
    made = subprocess.run(
        [KUBECTL, "kustomize", folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert made.returncode == 0, made.stderr
    assert not made.stderr, made.stderr
    return list(yaml.load_all(made.stdout, yaml.CSafeLoader))


def overlay(name: str) -> list[Manifest]:
    """The manifests of an overlay as it is."""
    return build(DEPLOY / "overlays" / name)


def with_components(folder: Path, name: str, components: Iterable[str]) -> list[Manifest]:
    """The manifests of an overlay of one's own in ``folder``, as docs/kubernetes.md shows it."""

    def relative(path: Path) -> str:
        return os.path.relpath(path, folder.resolve())

    mine = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "codeserve",
        "resources": [relative(DEPLOY / "overlays" / name)],
        "components": [relative(DEPLOY / component) for component in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(mine))
    return build(folder)


def of_kind(manifests: Iterable[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def named(manifests: Iterable[Manifest], kind: str, name: str = "codeserve") -> Manifest:
    [found] = [one for one in of_kind(manifests, kind) if one["metadata"]["name"] == name]
    return found


def pod_templates(manifests: Iterable[Manifest]) -> Iterator[Manifest]:
    """The template of every pod, whatever makes it."""
    for manifest in manifests:
        match manifest["kind"]:
            case "Deployment" | "Job":
                yield manifest["spec"]["template"]
            case "LeaderWorkerSet":
                group = manifest["spec"]["leaderWorkerTemplate"]
                yield from (group["leaderTemplate"], group["workerTemplate"])


def containers(template: Manifest) -> list[Manifest]:
    """All containers of a pod."""
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def server_templates(manifests: Iterable[Manifest]) -> Iterator[Manifest]:
    """The templates of pods that serve, as opposed to those that fetch or follow."""
    for template in pod_templates(manifests):
        if template["metadata"]["labels"]["app.kubernetes.io/component"] == "server":
            yield template


def has_image(manifests: Iterable[Manifest]) -> bool:
    """Whether weights come from an image volume."""
    return any(
        "image" in volume
        for template in pod_templates(manifests)
        for volume in template["spec"]["volumes"]
    )


def gibibytes(quantity: str) -> float:
    """A quantity of memory that is written in Gi."""
    assert quantity.endswith("Gi"), quantity
    return float(quantity.removesuffix("Gi"))


def config_text(manifests: Iterable[Manifest]) -> str:
    """The server's configuration."""
    [text] = [
        one["data"]["config.toml"]
        for one in of_kind(manifests, "ConfigMap")
        if "config.toml" in one["data"]
    ]
    return str(text)
