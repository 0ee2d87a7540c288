"""The families that can be launched: listed, shown, registered, unregistered."""

import asyncio
import time
from typing import Annotated

from fastapi import Query

from codeserve.app.api.admin.family import find_family
from codeserve.app.api.admin.family_text import family_text
from codeserve.app.api.admin.model_kind import check_kind, check_worker
from codeserve.app.api.admin.origin import origin_of
from codeserve.app.api.admin.registration_types import (
    RegisteredFamily,
    RegisteredName,
    Registration,
)
from codeserve.app.manager.events import EventKind, ModelEvent
from codeserve.app.manager.manager import ModelManager
from codeserve.app.registrations import Registrations
from codeserve.engines.errors import InvalidRequest, UnsupportedFeature
from codeserve.model_specs.errors import SpecError
from codeserve.model_specs.spec import ModelFamily

Detailed = Annotated[bool, Query(description="With all that is known of each.")]


class RegistrationsHandler:
    """Serves the catalogue, shipped families and registered ones."""

    def __init__(self, manager: ModelManager, registrations: Registrations) -> None:
        self._manager = manager
        self._registrations = registrations

    async def list_families(
        self, model_type: str, detailed: Detailed = False
    ) -> list[RegisteredFamily] | list[RegisteredName]:
        """Every family that can be launched."""
        check_kind(model_type)
        families = [self._describe(family) for family in self._manager.catalog.families]
        if detailed:
            return families
        return [
            RegisteredName(model_name=one.model_name, is_builtin=one.is_builtin) for one in families
        ]

    async def show_family(self, model_type: str, model_name: str) -> RegisteredFamily:
        """One family with its specs."""
        check_kind(model_type)
        return self._describe(find_family(self._manager.catalog, model_name))

    async def register(self, model_type: str, body: Registration) -> RegisteredFamily:
        """Add a family of your own, for good: it can be launched at once."""
        check_kind(model_type)
        check_worker(body.worker_ip)
        if body.persist is False:
            raise UnsupportedFeature(
                "This server keeps every registered family. Send 'persist': true, and unregister "
                "it when it is no longer needed.",
                param="persist",
            )
        text = family_text(body.model)
        try:
            family = await asyncio.to_thread(self._registrations.register, text)
        except SpecError as error:
            raise InvalidRequest(str(error), param="model") from error
        self._note(EventKind.REGISTERED, family.model_name)
        return self._describe(family)

    async def unregister(self, model_type: str, model_name: str) -> None:
        """Remove a registered family of which no model is launched."""
        check_kind(model_type)
        find_family(self._manager.catalog, model_name)
        users = [
            status.id
            for status in self._manager.models()
            if origin_of(status, self._manager.catalog).model_name == model_name
        ]
        try:
            await asyncio.to_thread(self._registrations.unregister, model_name, users)
        except SpecError as error:
            raise InvalidRequest(str(error), param="model_name") from error
        self._note(EventKind.UNREGISTERED, model_name)

    def _describe(self, family: ModelFamily) -> RegisteredFamily:
        own = {one.model_name for one in self._registrations.families()}
        return RegisteredFamily.of(family, is_builtin=family.model_name not in own)

    def _note(self, kind: EventKind, model_name: str) -> None:
        self._manager.events.write(ModelEvent(at=time.time(), model=model_name, kind=kind))
