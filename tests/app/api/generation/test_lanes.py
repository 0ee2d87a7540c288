import httpx
import pytest

from codeserve.app.api.generation.lanes import lane_of
from codeserve.app.edge.refusals import PermissionDenied
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import Lane


def test_a_request_goes_in_its_routes_lane_or_in_the_one_it_asks_for() -> None:
    assert lane_of({}, Lane.NORMAL, Lane.INTERACTIVE) is Lane.NORMAL
    for lane in Lane:
        asked = {"X-Priority": lane.name.title()}
        assert lane_of(asked, Lane.NORMAL, Lane.INTERACTIVE) is lane


def test_a_key_keeps_its_requests_in_its_lane_and_behind() -> None:
    assert lane_of({}, Lane.INTERACTIVE, Lane.BATCH) is Lane.BATCH
    assert lane_of({"X-Priority": "batch"}, Lane.NORMAL, Lane.NORMAL) is Lane.BATCH
    with pytest.raises(PermissionDenied, match=r"interactive.*is normal"):
        lane_of({"X-Priority": "interactive"}, Lane.NORMAL, Lane.NORMAL)


@pytest.mark.parametrize("value", ["", "high", "0", "interactive, batch"])
def test_what_is_no_lane_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest, match="interactive, normal, batch") as refused:
        lane_of({"X-Priority": value}, Lane.NORMAL, Lane.INTERACTIVE)
    assert refused.value.param == "X-Priority"


def test_the_header_is_read_on_every_route_that_generates(client: httpx.Client) -> None:
    message = {"role": "user", "content": "a"}
    bodies: dict[str, dict[str, object]] = {
        "/v1/completions": {"prompt": "a"},
        "/v1/chat/completions": {"messages": [message]},
        "/v1/responses": {"input": "a"},
        "/v1/messages": {"messages": [message], "max_tokens": 1},
        "/v1/fim/completions": {"prompt": "a"},
        "/completion": {"prompt": "a"},
        "/api/generate": {"prompt": "a"},
        "/api/chat": {"messages": [message]},
    }
    for path, body in bodies.items():
        sent = {"model": "fast", **body}
        response = client.post(path, json=sent, headers={"X-Priority": "high"})
        assert response.status_code == 400, path
        assert "X-Priority" in response.text, path
