"""What a client sees while its model loads, from a real server whose models are held back."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest
from msgspec.structs import replace

from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.engines.errors import ModelUnavailable
from tests.eventually import eventually

STORY = ": fast is loading (weights, 42%)"
CHAT = {"messages": [{"role": "user", "content": "a"}]}
STREAMS: dict[str, dict[str, Any]] = {
    "/v1/completions": {"prompt": "a", "max_tokens": 4},
    "/v1/chat/completions": {**CHAT, "max_tokens": 4},
    "/v1/responses": {"input": "a", "max_output_tokens": 16},
    "/v1/messages": {**CHAT, "max_tokens": 4},
    "/completion": {"prompt": "a", "n_predict": 4},
    "/infill": {"input_prefix": "a", "input_suffix": "b", "n_predict": 4},
    "/v1/fim/completions": {"prompt": "a", "max_tokens": 4},
}
ANSWERED = [path for path in STREAMS if path != "/infill"]
"""By a model that was not trained to fill in a middle."""
WHOLE = {
    **{path: STREAMS[path] for path in ANSWERED},
    "/api/generate": {"prompt": "a"},
    "/api/chat": CHAT,
}


class Hold:
    """Keeps every lease waiting until it is let go, and then may have it fail."""

    def __init__(self) -> None:
        self._free = threading.Event()
        self._failure: Exception | None = None
        self.waiting = 0

    def let_go(self, failure: Exception | None = None) -> None:
        self._failure = failure
        self._free.set()

    @property
    def is_over(self) -> bool:
        return self._free.is_set()

    async def wait(self) -> None:
        self.waiting += 1
        try:
            await eventually(lambda: self.is_over)
        finally:
            self.waiting -= 1
        if self._failure is not None:
            raise self._failure


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hold]:
    """Has the models of every server look as if they were being loaded."""
    hold = Hold()
    lease, status = ModelManager.lease, ModelManager.status

    @asynccontextmanager
    async def held_lease(self: ModelManager, model_id: str) -> AsyncIterator[LeasedModel]:
        await hold.wait()
        async with lease(self, model_id) as model:
            yield model

    def held_status(self: ModelManager, model_id: str) -> ModelStatus:
        now = status(self, model_id)
        if hold.is_over:
            return now
        return replace(now, state=ModelState.LOADING, phase="weights", progress=0.42)

    monkeypatch.setattr(ModelManager, "lease", held_lease)
    monkeypatch.setattr(ModelManager, "status", held_status)
    yield hold
    hold.let_go()


def read(client: httpx.Client, path: str, after_a_comment: Callable[[], None]) -> tuple[Any, str]:
    """The headers and the text of a stream; something is done when its first comment has come."""
    body = {"model": "fast", "stream": True, **STREAMS[path]}
    with client.stream("POST", path, json=body) as response:
        lines = response.iter_lines()
        text = next(lines) + "\n"
        after_a_comment()
        text += "".join(f"{line}\n" for line in lines)
    assert response.status_code == 200
    return response.headers, text


def without_comments(text: str) -> str:
    events = text.split("\n\n")
    return "\n\n".join(event for event in events if not event.startswith(":"))


@pytest.mark.parametrize("path", ANSWERED)
def test_comments_tell_how_far_the_model_is_and_the_stream_follows(
    client: httpx.Client, hold: Hold, path: str
) -> None:
    _, text = read(client, path, hold.let_go)
    assert text.startswith(f"{STORY}\n\n")
    events = without_comments(text).strip().split("\n\n")
    texts = [json.loads(event.partition("data: ")[2]) for event in events if "{" in event]
    assert '"G' in json.dumps(texts)
    assert "error" not in texts[-1]


def test_the_headers_are_those_of_every_stream(client: httpx.Client, hold: Hold) -> None:
    early, _ = read(client, "/v1/completions", hold.let_go)
    body = {"model": "fast", "stream": True, **STREAMS["/v1/completions"]}
    late = client.post("/v1/completions", json=body).headers
    assert set(early) == set(late)
    for name in ("content-type", "cache-control", "x-accel-buffering"):
        assert early.get_list(name) == late.get_list(name)


def test_the_published_client_reads_on(sync_client: openai.OpenAI, hold: Hold) -> None:
    stream = sync_client.completions.create(model="fast", prompt="a", max_tokens=4, stream=True)
    hold.let_go()
    assert "".join(chunk.choices[0].text for chunk in stream).startswith("Gr")


def test_the_published_client_raises_why_the_model_is_not_there(
    sync_client: openai.OpenAI, hold: Hold
) -> None:
    stream = sync_client.completions.create(model="fast", prompt="a", max_tokens=4, stream=True)
    hold.let_go(ModelUnavailable("The model 'fast' has failed."))
    with pytest.raises(openai.APIError, match="The model 'fast' has failed"):
        list(stream)


OPENAI = (
    'data: {"error":{"message":"gone","type":"server_error","param":null,'
    '"code":"model_unavailable"}}\n\n'
)
DONE = "data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/completions", OPENAI + DONE),
        ("/v1/chat/completions", OPENAI + DONE),
        ("/v1/fim/completions", OPENAI + DONE),
        ("/completion", OPENAI),
        ("/infill", OPENAI),
        (
            "/v1/messages",
            'event: error\ndata: {"type":"error","error":{"type":"overloaded_error",'
            '"message":"gone"},"request_id":"req_1"}\n\n',
        ),
        (
            "/v1/responses",
            'event: error\ndata: {"type":"error","sequence_number":0,"message":"gone","param":null,'
            '"code":"model_unavailable","error":{"message":"gone","type":"server_error",'
            '"param":null,"code":"model_unavailable"}}\n\n',
        ),
    ],
)
def test_an_error_ends_the_stream_as_the_dialect_has_it(
    client: httpx.Client, hold: Hold, path: str, expected: str
) -> None:
    client.headers["x-request-id"] = "req_1"
    _, text = read(client, path, lambda: hold.let_go(ModelUnavailable("gone")))
    assert without_comments(text) == expected


def test_what_nobody_expected_ends_the_stream_too(client: httpx.Client, hold: Hold) -> None:
    _, text = read(client, "/v1/completions", lambda: hold.let_go(ZeroDivisionError()))
    assert '"code":"internal_error"' in text
    assert text.endswith(DONE)


def test_a_request_that_the_loaded_model_refuses_ends_the_stream(
    client: httpx.Client, hold: Hold
) -> None:
    body = {"model": "short", "prompt": "a" * 100, "stream": True}
    with client.stream("POST", "/v1/completions", json=body) as response:
        lines = response.iter_lines()
        next(lines)
        hold.let_go()
        assert "context_length_exceeded" in "".join(lines)


def test_an_error_that_comes_soon_keeps_its_status(client: httpx.Client, hold: Hold) -> None:
    hold.let_go(ModelUnavailable("gone", retry_after=1))
    body = {"model": "fast", "stream": True, **STREAMS["/v1/completions"]}
    response = client.post("/v1/completions", json=body)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("path", WHOLE)
async def test_a_request_for_a_whole_answer_just_waits(
    client: httpx.Client, hold: Hold, path: str
) -> None:
    body = {"model": "fast", "stream": False, **WHOLE[path]}
    async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as waiting:
        asking = asyncio.create_task(waiting.post(path, json=body))
        await eventually(lambda: hold.waiting == 1)
        hold.let_go()
        response = await asking
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/completions", "/api/generate"])
async def test_a_client_that_goes_away_waits_no_longer(
    client: httpx.Client, hold: Hold, path: str, stream: bool
) -> None:
    body = {"model": "fast", "prompt": "a", "stream": stream}
    async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as leaving:
        asking = asyncio.create_task(leaving.post(path, json=body))
        await eventually(lambda: hold.waiting == 1)
        asking.cancel()
    await eventually(lambda: hold.waiting == 0)
