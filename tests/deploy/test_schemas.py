"""Manifests are what the API servers of every supported version take."""

import json
from collections.abc import Sequence
from copy import deepcopy

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.deploy.conftest import Overlays
from tests.deploy.custom_resources import SPECS
from tests.deploy.manifests import DEPLOY, Manifest, build, has_image, named, of_kind, pod_templates

VERSIONS = [
    f"1.{minor}" for minor in range(29, int(kubernetes_validate.latest_version().split(".")[1]) + 1)
]

WITHOUT_IMAGES = ("1.29", "1.30")
"""Versions whose pods cannot have volumes of images."""


def schema_key(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['apiVersion']}"


def test_the_validator_knows_nine_versions() -> None:
    assert len(VERSIONS) >= 9


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_own_resources_are_valid(overlays: Overlays, version: str) -> None:
    found = [
        manifest
        for made in overlays.values()
        if version not in WITHOUT_IMAGES or not has_image(made)
        for manifest in made
        if schema_key(manifest) not in SPECS
    ]
    pods = list(map(pod, pod_templates(of_kind(overlays["lws-33b"], "LeaderWorkerSet"))))
    assert len(pods) == 2
    for manifest in {json.dumps(one, sort_keys=True): one for one in [*found, *pods]}.values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_older_versions_know_no_images_of_weights(overlays: Overlays) -> None:
    deployment = named(overlays["cpu-llama-cpp-image"], "Deployment")

    for version in WITHOUT_IMAGES:
        with pytest.raises(kubernetes_validate.ValidationError, match="image"):
            kubernetes_validate.validate(deployment, version, strict=True)


def pod(template: Manifest) -> Manifest:
    """One that a set makes of ``template``."""
    metadata = {"name": "pod", **template["metadata"]}
    return {"apiVersion": "v1", "kind": "Pod", **template, "metadata": metadata}


def test_a_misspelt_field_is_found(manifests: Sequence[Manifest]) -> None:
    broken = deepcopy(of_kind(manifests, "Service")[0])
    broken["spec"]["porst"] = broken["spec"].pop("ports")

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_custom_resources_have_fields_of_their_api_alone(manifests: Sequence[Manifest]) -> None:
    for manifest in manifests:
        if schema := SPECS.get(schema_key(manifest)):
            Draft202012Validator(schema).validate(manifest["spec"])
            broken = {**manifest["spec"], "misspelt": 1}
            with pytest.raises(ValidationError):
                Draft202012Validator(schema).validate(broken)


def test_every_kind_of_custom_resource_is_checked(overlays: Overlays) -> None:
    found = {schema_key(manifest) for made in overlays.values() for manifest in made}

    assert set(SPECS) <= found


def test_the_base_is_complete() -> None:
    kinds = {manifest["kind"] for manifest in build(DEPLOY / "base")}

    assert {"ServiceAccount", "ConfigMap", "Service", "PersistentVolumeClaim", "Deployment"} < kinds
    assert {"PodDisruptionBudget", "NetworkPolicy"} < kinds
