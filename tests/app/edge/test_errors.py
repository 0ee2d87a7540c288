from typing import Any

import httpx
import pytest

from codeserve.app.edge.errors import (
    OpenAIErrors,
    as_serving_error,
    error_json,
    error_response,
    status_of,
)
from codeserve.app.edge.record import RequestRecord
from codeserve.engines.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineFailure,
    EngineRestarted,
    InvalidRequest,
    ModelLoadError,
    ModelNotFound,
    ModelUnavailable,
    QueueFull,
    RequestTooLarge,
    ServingError,
    UnsupportedFeature,
)
from codeserve.model_specs.errors import PromptError, UnknownSpec


def scope() -> dict[str, Any]:
    return {"state": {"record": RequestRecord("req_1"), "error_shape": OpenAIErrors()}}


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (InvalidRequest("x"), 400, "invalid_request_error", None),
        (ContextLengthExceeded("x"), 400, "invalid_request_error", "context_length_exceeded"),
        (UnsupportedFeature("x"), 400, "invalid_request_error", "unsupported_parameter"),
        (ModelNotFound("x"), 404, "invalid_request_error", "model_not_found"),
        (RequestTooLarge("x"), 413, "invalid_request_error", "request_too_large"),
        (QueueFull("x"), 429, "requests", "rate_limit_exceeded"),
        (EngineFailure("x"), 500, "server_error", "engine_failure"),
        (ModelLoadError("x"), 500, "server_error", "model_load_failed"),
        (ModelUnavailable("x"), 503, "server_error", "model_unavailable"),
        (EngineRestarted("x"), 503, "server_error", "engine_restarted"),
        (DeadlineExceeded("x"), 504, "server_error", "deadline_exceeded"),
    ],
)
def test_each_error_has_its_status_type_and_code(
    error: ServingError, status: int, kind: str, code: str | None
) -> None:
    assert (status_of(error), error.type, error.code) == (status, kind, code)


def test_the_json_has_all_four_keys_and_no_spaces() -> None:
    assert (
        error_json(InvalidRequest("Größe", param="n"))
        == (
            '{"error":{"message":"Größe","type":"invalid_request_error","param":"n","code":null}}'
        ).encode()
    )


def test_half_a_surrogate_pair_in_a_message_is_still_json() -> None:
    body = error_json(InvalidRequest("\ud83d"))
    assert httpx.Response(200, content=body).json()["error"]["message"] == "\ud83d"


def test_a_prompt_error_keeps_its_field_and_code() -> None:
    error = as_serving_error(
        PromptError("no hole", param="suffix", code="fim_not_supported"), RequestRecord("req_1")
    )
    assert (status_of(error), error.param, error.code) == (400, "suffix", "fim_not_supported")


def test_an_unknown_spec_is_the_clients_fault() -> None:
    assert status_of(as_serving_error(UnknownSpec("no such size"), RequestRecord("req_1"))) == 400


def test_what_nobody_expected_is_hidden_from_the_client_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = as_serving_error(ZeroDivisionError("secret"), RequestRecord("req_1"))
    assert status_of(error) == 500
    assert "secret" not in error.message
    (line,) = caplog.records
    assert line.exc_info is not None
    assert (line.exc_info[0], vars(line)["id"]) == (ZeroDivisionError, "req_1")


def test_a_retry_is_announced_in_seconds_and_milliseconds() -> None:
    response = error_response(QueueFull("wait", retry_after=1.2), scope())
    assert (response.headers["retry-after"], response.headers["retry-after-ms"]) == ("2", "1200")


def test_a_failure_that_would_repeat_is_not_retried() -> None:
    broken = error_response(EngineFailure("x"), scope())
    failed = error_response(ModelUnavailable("x"), scope())
    loading = error_response(ModelUnavailable("x", retry_after=5.0), scope())
    assert broken.headers["x-should-retry"] == failed.headers["x-should-retry"] == "false"
    assert "x-should-retry" not in loading.headers


def test_the_log_line_learns_the_code() -> None:
    failed = scope()
    error_response(ModelNotFound("x"), failed)
    assert failed["state"]["record"].outcome == "model_not_found"


def test_an_unknown_path_is_named_with_its_method(client: httpx.Client) -> None:
    response = client.post("/v1/foo", json={})
    assert response.status_code == 404
    assert response.json() == {
        "error": {
            "message": "Invalid URL (POST /v1/foo)",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    }


def test_a_wrong_method_names_the_right_ones(client: httpx.Client) -> None:
    response = client.put("/v1/completions", json={})
    assert response.status_code == 405
    assert response.headers["allow"] == "POST, OPTIONS"
    assert response.json()["error"]["message"] == "Method not allowed (PUT /v1/completions)"
