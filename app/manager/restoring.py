"""Launches again what was launched before the server ended."""

import logging
from collections.abc import Collection

from codeserve.app.manager.events import EventKind
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.state_file import StateFile
from codeserve.app.manager.status import ModelState
from codeserve.app.model_settings import ModelSettings
from codeserve.engines.errors import ServingError

logger = logging.getLogger(__name__)


async def restore(
    manager: ModelManager, state: StateFile, configured: Collection[str]
) -> list[str]:
    """Begin to load what ``state`` remembers, with the same ids and arguments; the ids.

    A model whose id is among the ``configured`` ones is left to the configuration. One that cannot
    be launched any more is reported, stays in the file and holds nobody up.
    """
    for unusable in state.unusable():
        _report_failure(manager, state, unusable.id, unusable.reason)
    restored = []
    for model in state.models():
        if model.id in configured:
            logger.warning(
                "%s: launched as the configuration says, which wins over %s", model.id, state.path
            )
        elif await _launch(manager, state, model):
            restored.append(model.id)
    return restored


async def _launch(manager: ModelManager, state: StateFile, model: ModelSettings) -> bool:
    try:
        await manager.launch(model, remember=True)
    except ServingError as error:
        _report_failure(manager, state, model.id, error.message)
        return False
    except Exception as error:
        logger.exception("%s: launching it again failed", model.id)
        _report_failure(manager, state, model.id, str(error) or type(error).__name__)
        return False
    logger.info("%s: launched again, as it was before the server ended", model.id)
    state_now, launched = manager.status(model.id).state, "Launched again after a restart."
    manager.events.add(model.id, EventKind.RESTORED, state_now, launched)
    return True


def _report_failure(manager: ModelManager, state: StateFile, model_id: str, reason: str) -> None:
    logger.error(
        "%s: it was launched before the server ended, but cannot be launched again: %s. It stays "
        "in %s; launch or terminate a model of this id to replace or forget it.",
        model_id,
        reason.rstrip("."),
        state.path,
    )
    failed = f"It cannot be launched again: {reason}"
    manager.events.add(model_id, EventKind.RESTORED, ModelState.FAILED, failed)
