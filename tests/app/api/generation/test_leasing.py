import pytest

from codeserve.app.api.generation.leasing import describe
from codeserve.app.manager.status import ModelState, ModelStatus


@pytest.mark.parametrize(
    ("state", "phase", "progress", "told"),
    [
        (ModelState.LOADING, "weights", 0.42, "coder is loading (weights, 42%)"),
        (ModelState.PULLING, "downloading", None, "coder is pulling (downloading)"),
        (ModelState.PROVING, "proving", None, "coder is proving"),
        (ModelState.UNLOADED, "unloaded", None, "coder is waiting for its turn"),
        (ModelState.UNLOADED, "waiting for memory", None, "coder is waiting for memory"),
        (ModelState.READY, "ready", None, "coder is waiting for its turn"),
    ],
)
def test_a_waiting_client_is_told_where_the_model_stands(
    state: ModelState, phase: str, progress: float | None, told: str
) -> None:
    status = ModelStatus(
        id="coder", state=state, phase=phase, progress=progress, created=0, spec={}
    )
    assert describe(status) == told
