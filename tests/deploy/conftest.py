"""Every overlay, and one with all that can be added to it."""

from collections.abc import Sequence

import pytest

from tests.deploy.manifests import AUTOSCALERS, OPTIONAL, OVERLAYS, Manifest, overlay, with_components


@pytest.fixture(scope="session", params=[*OVERLAYS, *AUTOSCALERS])
def manifests(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Sequence[Manifest]:
    """Of an overlay as it is, or of one with every component and one of the autoscalers."""
    if request.param in OVERLAYS:
        return overlay(request.param)
    components = [*OPTIONAL, request.param]
    return with_components(tmp_path_factory.mktemp("mine"), "cpu-llama-cpp", components)


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Manifest]:
    """An overlay with every component but the second autoscaler."""
    components = [*OPTIONAL, AUTOSCALERS[-1]]
    return with_components(tmp_path_factory.mktemp("everything"), "cpu-llama-cpp", components)
