import httpx
import pytest

from tests.app.api.admin.launching import begin, events, launch


def test_jobs_are_listed_oldest_first(own_client: httpx.Client) -> None:
    launch(own_client, model_uid="a")
    launch(own_client, model_uid="b")
    listed = own_client.get("/v1/jobs").json()
    assert listed["object"] == "list"
    assert [(job["model"], job["state"]) for job in listed["data"]] == [
        ("a", "succeeded"),
        ("b", "succeeded"),
    ]


def test_a_job_is_watched_to_its_end(own_client: httpx.Client) -> None:
    job = begin(own_client, load_seconds=0.5)
    with own_client.stream("GET", f"/v1/jobs/{job['id']}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        moments = list(events(response))
    assert {moment["id"] for moment in moments} == {job["id"]}
    assert moments[0]["state"] == "running"
    assert [moment["state"] for moment in moments].count("succeeded") == 1
    assert moments[-1]["state"] == "succeeded"
    assert moments[-1]["ended"] >= moments[-1]["created"]


def test_an_ended_job_is_one_event(own_client: httpx.Client) -> None:
    job = launch(own_client).json()["job"]
    with own_client.stream("GET", f"/v1/jobs/{job['id']}/events") as response:
        assert [moment["state"] for moment in events(response)] == ["succeeded"]


def test_whoever_watches_hears_that_the_server_is_there(own_client: httpx.Client) -> None:
    job = begin(own_client, load_seconds=60.0)
    with own_client.stream("GET", f"/v1/jobs/{job['id']}/events") as response:
        assert next(line for line in response.iter_lines() if line.startswith(":")) == ": ping"


def test_a_watched_job_goes_on_when_nobody_watches_any_more(own_client: httpx.Client) -> None:
    job = begin(own_client, load_seconds=0.5)
    with own_client.stream("GET", f"/v1/jobs/{job['id']}/events") as response:
        next(events(response))
    with own_client.stream("GET", f"/v1/jobs/{job['id']}/events") as response:
        assert list(events(response))[-1]["state"] == "succeeded"


def test_a_job_may_be_cancelled_by_its_id(own_client: httpx.Client) -> None:
    job = begin(own_client, load_seconds=60.0)
    assert own_client.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    assert own_client.get("/v1/models").json()["data"] == []
    assert own_client.post(f"/v1/jobs/{job['id']}/cancel").status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/jobs/none"), ("GET", "/v1/jobs/none/events"), ("POST", "/v1/jobs/none/cancel")],
)
def test_an_unknown_job_is_a_404(client: httpx.Client, method: str, path: str) -> None:
    response = client.request(method, path)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"
    assert "none" in response.json()["detail"]
