import json
from typing import Any

import pytest

PATH = "/v1/completions"


def test_a_failure_in_mid_stream_is_an_event_before_done(
    start_server: Any, make_model: Any
) -> None:
    with (
        start_server(make_model("faulty", fail_after=4, step_seconds=0.1)) as server,
        server.client() as client,
    ):
        body = {"model": "faulty", "prompt": "a", "max_tokens": 50, "stream": True}
        response = client.post(PATH, json=body)
        assert response.status_code == 200
        *text, failure, done = response.text.removesuffix("\n\n").split("\n\n")
        assert "".join(json.loads(event[6:])["choices"][0]["text"] for event in text) == "Grü"
        assert json.loads(failure[6:])["error"]["type"] == "server_error"
        assert done == "data: [DONE]"


@pytest.mark.parametrize("stream", [False, True])
def test_a_crash_of_the_worker_is_a_typed_error(
    start_server: Any, make_model: Any, stream: bool
) -> None:
    with (
        start_server(make_model("mortal", crash_after=4, step_seconds=0.1)) as server,
        server.client() as client,
    ):
        body = {"model": "mortal", "prompt": "a", "max_tokens": 50, "stream": stream}
        response = client.post(PATH, json=body)
        assert response.status_code == (200 if stream else 503)
        assert '"code":"engine_restarted"' in response.text


def test_a_failure_of_one_choice_ends_them_all(start_server: Any, make_model: Any) -> None:
    with start_server(make_model("faulty", fail_after=6)) as server, server.client() as client:
        response = client.post(PATH, json={"model": "faulty", "prompt": "a", "n": 3})
        assert response.status_code in (500, 503)
        assert response.json()["error"]["type"] == "server_error"
