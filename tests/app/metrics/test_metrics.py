from typing import Any

from codeserve.app.edge.record import RequestRecord
from codeserve.app.manager.launcher import LocalLauncher
from codeserve.app.manager.manager import ModelManager
from codeserve.app.metrics.disks import Disks
from codeserve.app.metrics.metrics import Metrics
from codeserve.app.server_settings import ServerSettings
from codeserve.model_specs.catalog import Catalog


async def test_a_thousand_models_that_are_not_here_add_no_series() -> None:
    metrics = Metrics(ModelManager(ServerSettings(), LocalLauncher(), Catalog.load()), Disks({}))
    wrong: dict[str, Any] = {"status": 404, "error": "model_not_found", "refusal": "ModelNotFound"}
    metrics.finish(RequestRecord("id", model="wrong", **wrong), {})
    before = await metrics.exposition()
    for number in range(1000):
        metrics.finish(RequestRecord("id", model=f"wrong-{number}", **wrong), {})
    after = await metrics.exposition()

    counted = b'codeserve_rejected_requests_total{model="",reason="model_not_found"} %d.0'
    assert counted % 1 in before
    assert counted % 1001 in after
    assert b"wrong" not in after
    assert before.count(b"\n") == after.count(b"\n")
