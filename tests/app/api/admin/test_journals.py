from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.app.api.admin.launching import events, launch
from tests.app.conftest import RunningServer


def test_events_tell_what_happened_oldest_first(own_client: httpx.Client) -> None:
    launch(own_client)
    own_client.post("/v1/models/mine/pin")
    own_client.delete("/v1/models/mine")
    told = own_client.get("/v1/events").json()
    assert told["object"] == "list"
    kinds = [(one["model"], one["kind"]) for one in told["data"] if one["kind"] != "state"]
    assert kinds == [("mine", "launched"), ("mine", "pinned"), ("mine", "terminated")]
    states = [one["state"] for one in told["data"] if one["kind"] == "state"]
    assert states[-3:] == ["ready", "draining", "stopped"]


def test_only_the_last_events_may_be_asked_for(own_client: httpx.Client) -> None:
    launch(own_client)
    everything = own_client.get("/v1/events").json()["data"]
    assert own_client.get("/v1/events?lines=2").json()["data"] == everything[-2:]
    assert own_client.get("/v1/events?lines=0").json()["data"] == []


def test_events_are_followed_as_they_come(
    own_server: RunningServer, own_client: httpx.Client
) -> None:
    launch(own_client)
    with (
        own_server.client() as other,
        other.stream("GET", "/v1/events?lines=1&follow=true") as response,
    ):
        told = events(response)
        assert next(told)["state"] == "ready"
        own_client.post("/v1/models/mine/pin")
        assert next(told)["kind"] == "pinned"


def test_a_log_has_what_the_workers_wrote(own_client: httpx.Client) -> None:
    launch(own_client)
    lines = own_client.get("/v1/models/mine/logs").json()["lines"]
    assert isinstance(lines, list)
    assert own_client.get("/v1/models/mine/logs?lines=0").json()["lines"] == []


def test_a_log_is_followed_until_its_model_is_gone(own_client: httpx.Client) -> None:
    launch(own_client)
    with own_client.stream("GET", "/v1/models/mine/logs?follow=true") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert own_client.delete("/v1/models/mine").status_code == 200
        assert all("line" in one for one in events(response))


def test_a_failed_model_keeps_its_log(client: httpx.Client) -> None:
    assert client.get("/v1/models/broken/logs").status_code == 200


def test_followers_do_not_keep_a_server_from_ending(start_server: Any, make_model: Any) -> None:
    with start_server(make_model("mine")) as server:
        client = server.client()
        request = client.build_request("GET", "/v1/events?follow=true")
        told = events(client.send(request, stream=True))
        assert next(told)["kind"] == "launched"
    with closing(client):
        assert [one["state"] for one in told][-1] == "stopped"


@pytest.mark.parametrize("path", ["/v1/events", "/v1/models/fast/logs"])
@pytest.mark.parametrize("query", ["lines=-1", "lines=many", "follow=perhaps"])
def test_a_wrong_parameter_is_a_400_that_names_it(
    client: httpx.Client, path: str, query: str
) -> None:
    response = client.get(f"{path}?{query}")
    assert response.status_code == 400
    assert response.json()["error"]["param"] == query.partition("=")[0]
