from typing import Any, cast

from msgspec.structs import replace

from codeserve.app.manager.history import ModelHistory
from codeserve.app.manager.room import EVICTED
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.engines.types import EngineLoad
from codeserve.engines.worker.client import WorkerClient


class Worker:
    """Stands for the connection to a worker that has counted something."""

    def __init__(self, prefix_hits: int) -> None:
        self.engine_load = EngineLoad(running=0, waiting=0, steps=0, prefix_hits=prefix_hits)


def a_client(prefix_hits: int) -> WorkerClient:
    return cast(WorkerClient, Worker(prefix_hits))


def follow(history: ModelHistory, *moments: ModelState | dict[str, Any], reason: str = "") -> None:
    """Have a model go through ``moments``: states, or other changes of its status."""
    status = ModelStatus(id="coder", state=ModelState.PENDING, created=0, spec={})
    for moment in moments:
        changes = {"state": moment} if isinstance(moment, ModelState) else moment
        after = replace(status, **changes)
        history.follow(status, after, reason)
        status = after


def test_a_load_lasts_from_loading_until_ready() -> None:
    history = ModelHistory()
    follow(history, ModelState.LOADING, {"progress": 0.5}, ModelState.PROVING, ModelState.READY)
    assert history.load_seconds.count == 1
    follow(history, ModelState.LOADING, ModelState.FAILED)
    assert history.load_seconds.count == 1


def test_a_model_that_is_ready_again_with_other_workers_was_loaded_once_more() -> None:
    history = ModelHistory()
    loading = ModelState.LOADING, ModelState.PROVING, ModelState.READY
    follow(history, *loading, ModelState.RESTARTING, *loading)
    assert history.load_seconds.count == 2


def test_only_making_room_for_others_is_an_eviction() -> None:
    history = ModelHistory()
    follow(history, ModelState.READY, ModelState.DRAINING, reason="no request came for 5 s")
    assert history.evictions == 0
    follow(history, ModelState.READY, ModelState.DRAINING, ModelState.UNLOADED, reason=EVICTED)
    assert history.evictions == 1


def test_restarts_and_bytes_are_added_up_over_the_lives_of_a_model() -> None:
    history = ModelHistory()
    for _ in range(2):
        follow(history, {"bytes_done": 30}, {"bytes_done": 100}, {"bytes_done": None})
        follow(history, {"restarts": 1}, {"restarts": 3})
    assert (history.restarts, history.downloaded_bytes) == (6, 200)


def test_what_workers_have_counted_stays_when_they_are_gone() -> None:
    history = ModelHistory()
    with history.worker(a_client(5)):
        with history.worker(a_client(7)):
            assert history.counts.prefix_hits == 12
        assert history.counts.prefix_hits == 12
    with history.worker(a_client(0)):
        assert history.counts.prefix_hits == 12
