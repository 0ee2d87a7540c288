"""The weights on this machine: listed, shown, deleted."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import Query

from codeserve.app.api.admin.cache_types import (
    CachedFiles,
    CachedModel,
    CachedModels,
    RemovedWeights,
)
from codeserve.app.api.admin.model_kind import check_worker
from codeserve.app.api.admin.origin import Origin, origin_of
from codeserve.app.manager.manager import ModelManager
from codeserve.engines.errors import InvalidRequest, NothingStored
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.hub.artifact import Artifact, artifacts
from codeserve.model_specs.hub.stored import Stored

Worker = Annotated[str | None, Query(description="Only empty: there is one machine.")]
Version = Annotated[str, Query(min_length=1, description="The `model_version` of a listed model.")]


class CacheHandler:
    """Serves the store of weights."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    async def list_models(
        self, model_name: str | None = None, worker_ip: Worker = None
    ) -> CachedModels:
        """All weights, or those of a family."""
        check_worker(worker_ip)
        known = _known(self._manager.catalog)
        stored = await asyncio.to_thread(self._manager.store.stored)
        listed = [_describe(one, known.get(one.artifact, Origin())) for one in stored]
        return CachedModels(
            list=[one for one in listed if not model_name or one.model_name == model_name]
        )

    async def list_files(self, model_version: Version, worker_ip: Worker = None) -> CachedFiles:
        """The files of some weights."""
        check_worker(worker_ip)
        paths = [
            str(one.root / file.name)
            for one in await self._find(model_version)
            for file in one.files
        ]
        return CachedFiles(model_version=model_version, paths=paths)

    async def remove(self, model_version: Version, worker_ip: Worker = None) -> RemovedWeights:
        """Delete weights that no launched model has."""
        check_worker(worker_ip)
        found = await self._find(model_version)
        users = [
            status.id
            for status in self._manager.models()
            if origin_of(status, self._manager.catalog).version == model_version
        ]
        if users:
            raise InvalidRequest(
                f"{model_version} is in use by {', '.join(users)}. Terminate them first.",
                param="model_version",
            )
        freed = [await asyncio.to_thread(self._manager.store.remove, one) for one in found]
        return RemovedWeights(bytes=sum(freed))

    async def _find(self, model_version: str) -> Sequence[Stored]:
        """The weights of that name, from whatever hubs. Raises NothingStored."""
        known = _known(self._manager.catalog)
        stored = await asyncio.to_thread(self._manager.store.stored)
        found = [
            one
            for one in stored
            if _version(one, known.get(one.artifact, Origin())) == model_version
        ]
        if not found:
            raise NothingStored(
                f"There are no weights called {model_version!r} on this machine. GET "
                "/v1/cache/models lists what there is.",
                param="model_version",
            )
        return found


def _known(catalog: Catalog) -> dict[Artifact, Origin]:
    """What the catalogue calls the artifacts that hubs have."""
    return {
        artifact: Origin.of_spec(family, spec, quantization)
        for family in catalog.families
        for spec in family.specs
        for quantization in spec.quantizations
        for artifact in artifacts(spec, quantization)
    }


def _version(stored: Stored, origin: Origin) -> str:
    return origin.version or ":".join([str(stored.artifact), *stored.artifact.files])


def _describe(stored: Stored, origin: Origin) -> CachedModel:
    return CachedModel(
        model_name=origin.model_name,
        model_size_in_billions=origin.size,
        model_format=origin.model_format,
        quantization=origin.quantization,
        model_version=_version(stored, origin),
        model_id=stored.artifact.repository,
        model_hub=stored.artifact.hub,
        model_revision=stored.commit or stored.artifact.revision,
        path=str(stored.path),
        real_path=str(stored.path.resolve()),
        bytes=stored.bytes,
        pulled_at=stored.pulled_at,
    )
