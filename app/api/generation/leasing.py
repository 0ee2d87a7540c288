"""How a request that generates gets its model, and what a client is told while it loads."""

from functools import partial

from codeserve.app.api.generation.deadlines import Deadlines, timeouts_of
from codeserve.app.edge.auth import key_of, require_model
from codeserve.app.edge.exchange import Exchange
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelStatus


async def lease(
    exchange: Exchange, manager: ModelManager, model_id: str, *, stream: bool
) -> LeasedModel:
    """The model for the rest of ``exchange``, once it is loaded.

    ``stream``: the answer will be an event stream, so that comments can tell how far the model is.
    Raises PermissionDenied, ModelNotFound, ModelUnavailable, QueueFull, DeadlineExceeded, and
    ClientDisconnected if the client goes away.
    """
    require_model(key_of(exchange.request.scope), model_id)
    timeouts = timeouts_of(exchange.request.headers, manager.admission(model_id).timeouts)
    told = partial(_progress, manager, model_id) if stream else None
    async with Deadlines(timeouts, exchange.record.started).before_first_token():
        return await exchange.acquire(manager.lease(model_id), told)


def _progress(manager: ModelManager, model_id: str) -> str:
    return describe(manager.status(model_id))


def describe(status: ModelStatus) -> str:
    """Where a model stands for which a request waits, such as ``coder is loading (weights, 42%)``.

    One that is neither loaded nor being loaded, or takes no requests for now, waits for others.
    """
    if status.state.serves:
        has_phase = status.phase != status.state
        return f"{status.id} is {status.phase if has_phase else 'waiting for its turn'}"
    return f"{status.id} is {status.activity}"
