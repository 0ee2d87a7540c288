"""Every overlay, and one with all that can be added to it."""

from collections.abc import Mapping, Sequence

import pytest

from tests.deploy.manifests import (
    AUTOSCALERS,
    OPTIONAL,
    OVERLAYS,
    Manifest,
    overlay,
    with_components,
)

Overlays = Mapping[str, Sequence[Manifest]]


@pytest.fixture(scope="session")
def overlays(tmp_path_factory: pytest.TempPathFactory) -> Overlays:
    """The manifests of each overlay, and of one with every component, by autoscaler."""
    own = {
        scaler: with_components(
            tmp_path_factory.mktemp("mine"), "cpu-llama-cpp", [*OPTIONAL, scaler]
        )
        for scaler in AUTOSCALERS
    }
    return {**{name: overlay(name) for name in OVERLAYS}, **own}


@pytest.fixture(params=[*OVERLAYS, *AUTOSCALERS])
def manifests(request: pytest.FixtureRequest, overlays: Overlays) -> Sequence[Manifest]:
    """Of an overlay as it is, or of one with every component and one of the autoscalers."""
    return overlays[request.param]


@pytest.fixture
def everything(overlays: Overlays) -> Sequence[Manifest]:
    """Of an overlay with every component but the other autoscaler."""
    return overlays[AUTOSCALERS[-1]]
