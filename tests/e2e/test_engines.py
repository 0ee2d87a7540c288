"""One server, three engines in environments of their own, the same answers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from openai import BadRequestError

from tests.e2e.server import Server
from tests.e2e.waiting import wait_until
from tests.models.corpus import ChatExample, CompletionExample, FimExample, held_out

ENGINES = ("llama.cpp", "transformers", "vllm")
FAMILIES = ("deepseek-coder", "deepseek-coder-instruct")
OPTIONS = {
    "llama.cpp": '{ tune = false, flash_attn = "off", type_k = "f32", type_v = "f32" }',
    "transformers": '{ dtype = "float32" }',
    "vllm": '{ dtype = "float32" }',
}
SHARED_MEMORY = Path("/dev/shm")
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
"""vLLM takes half a minute to start, and as much again for each that starts beside it."""
EXAMPLES = 6
CHAT = [{"role": "user", "content": "Write a Python function that adds two numbers."}]


def model(engine: str, family: str, gguf: Path, folder: Path) -> str:
    """A model of the tiny weights in float32, named after engine and family."""
    return f"""
[[models]]
id = "{engine}-{family}"
path = "{gguf if engine == "llama.cpp" else folder}"
family = "{family}"
engine = "{engine}"
context_length = 2048
options = {OPTIONS[engine]}
"""


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, tiny_deepseek_gguf: Path, tiny_deepseek_folder: Path
) -> Iterator[Server]:
    """The tiny DeepSeek Coder in both roles on every engine."""
    config = "".join(
        model(engine, family, tiny_deepseek_gguf, tiny_deepseek_folder)
        for engine in ENGINES
        for family in FAMILIES
    )
    running = Server.start(tmp_path_factory.mktemp("engines"), config)
    yield running
    running.end()


def complete(server: Server, engine: str, **fields: Any) -> Any:
    fields = {"max_tokens": 64, "temperature": 0} | fields
    with server.client as client:
        return client.completions.create(model=f"{engine}-deepseek-coder", **fields)


def chat(server: Server, engine: str, **fields: Any) -> Any:
    fields = {"max_tokens": 64, "temperature": 0} | fields
    with server.client as client:
        return client.chat.completions.create(model=f"{engine}-deepseek-coder-instruct", **fields)


def test_every_engine_continues_code_alike(server: Server) -> None:
    held = (e for e in held_out("completion") if isinstance(e, CompletionExample))
    for example in islice(held, EXAMPLES):
        choices = [complete(server, name, prompt=example.prompt).choices[0] for name in ENGINES]
        assert {choice.text for choice in choices} == {choices[0].text}
        assert {choice.finish_reason for choice in choices} == {"stop"}


def test_every_engine_fills_a_middle_alike(server: Server) -> None:
    held = [e for e in islice(held_out("fim"), 40) if isinstance(e, FimExample) and not e.files]
    for example in held[:EXAMPLES]:
        fields = {"prompt": example.prefix, "suffix": example.suffix}
        texts = [complete(server, name, **fields).choices[0].text for name in ENGINES]
        assert texts == [example.middle] * len(ENGINES)


def test_every_engine_answers_a_chat_alike(server: Server) -> None:
    held = (e for e in held_out("chat") if isinstance(e, ChatExample))
    for example in islice(held, EXAMPLES):
        messages = [{"role": role, "content": content} for role, content in example.messages]
        replies = [chat(server, name, messages=messages) for name in ENGINES]
        texts = [reply.choices[0].message.content for reply in replies]
        assert texts == texts[:1] * len(ENGINES)
        assert len({reply.usage.prompt_tokens for reply in replies}) == 1
        assert len({reply.usage.completion_tokens for reply in replies}) == 1


def test_every_engine_gives_the_same_log_probabilities(server: Server) -> None:
    fields = {"prompt": "def add(a, b):\n", "max_tokens": 6, "logprobs": 3, "echo": True}
    first, *others = [complete(server, name, **fields).choices[0].logprobs for name in ENGINES]
    assert len(first.tokens) > 10
    for other in others:
        assert other.tokens == first.tokens
        assert other.text_offset == first.text_offset
        assert other.token_logprobs[1:] == pytest.approx(first.token_logprobs[1:], abs=1e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_seed_repeats_on_every_engine(server: Server, engine: str) -> None:
    def texts(seed: int) -> list[str]:
        fields = {"prompt": "def", "temperature": 1.5, "max_tokens": 12, "seed": seed, "n": 2}
        return [choice.text for choice in complete(server, engine, **fields).choices]

    assert texts(1) == texts(1)
    assert texts(1) != texts(2)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_prompt_that_is_too_long_is_refused_on_every_engine(server: Server, engine: str) -> None:
    with pytest.raises(BadRequestError, match="maximum context length is 2048") as refused:
        complete(server, engine, prompt="x = 1\n" * 2000)
    assert refused.value.code == "context_length_exceeded"
    assert complete(server, engine, prompt="def add(a, b):\n").choices[0].text


@pytest.mark.parametrize("engine", ENGINES)
def test_a_schema_is_kept_on_every_engine(server: Server, engine: str) -> None:
    schema = {
        "type": "object",
        "properties": {
            "language": {"enum": ["python", "javascript"]},
            "lines": {"type": "integer"},
        },
        "required": ["language", "lines"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "code", "schema": schema}}
    reply = chat(server, engine, messages=CHAT, response_format=form, max_tokens=200)
    if reply.choices[0].finish_reason == "stop":
        answer = json.loads(reply.choices[0].message.content)
        assert answer["language"] in ("python", "javascript")
        assert isinstance(answer["lines"], int)
    else:
        assert reply.choices[0].message.content.lstrip().startswith('{"language"')


@pytest.mark.parametrize("engine", ENGINES)
def test_a_client_that_hangs_up_frees_its_slot_on_every_engine(server: Server, engine: str) -> None:
    name = f"{engine}-deepseek-coder"
    body = {"model": name, "prompt": "x = 1\n", "max_tokens": 400, "ignore_eos": True}
    url = f"{server.url}/v1/completions"
    for _ in range(5):
        with httpx.stream("POST", url, json={**body, "stream": True}, timeout=60) as answer:
            next(answer.iter_lines())
    wait_until(lambda: server.model(name)["running"] == 0, "the end of the request")
    assert server.model(name)["waiting"] == 0


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_killed_worker_costs_its_own_request_leaves_nothing_and_comes_back(
    server: Server, engine: str
) -> None:
    worker = next(w for w in server.workers() if w.cmdline()[-3:-2] == [engine])
    family = [worker, *worker.children(recursive=True)]
    shared = {path for process in family for path in shared_by(process)}
    assert bool(shared) == (engine == "vllm")
    base, instruct = (f"{engine}-{family}" for family in FAMILIES)

    with streaming(server, base) as one, streaming(server, instruct) as other:
        next(one), next(other)
        worker.kill()
        ends = {base: last_event(one), instruct: last_event(other)}

    [killed] = [name for name, end in ends.items() if "error" in end]
    assert ends[killed]["error"]["code"] == "engine_restarted"
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
    wait_until(lambda: not any(path.exists() for path in shared), "the sweep", seconds=5)
    wait_until(lambda: server.model(killed)["state"] == "ready", "the restart", seconds=300)
    with server.client as client:
        assert client.completions.create(model=killed, prompt="def add(a, b):\n").choices[0].text


def test_a_killed_server_leaves_no_process_and_no_shared_memory(server: Server) -> None:
    """The last one, because it ends the server of the others."""
    family = server.workers()
    shared = {path for process in family for path in shared_by(process)}
    assert len(family) > 2 * len(ENGINES), "vLLM has processes of its own below its workers"
    assert shared

    server.process.kill()

    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
    wait_until(lambda: not any(path.exists() for path in shared), "the sweep", seconds=5)


@contextmanager
def streaming(server: Server, name: str) -> Iterator[Iterator[str]]:
    """The lines of a long completion of one model."""
    body = {"model": name, "prompt": "x", "max_tokens": 2000, "stream": True, "ignore_eos": True}
    with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=60) as answer:
        yield (line for line in answer.iter_lines() if line)


def last_event(lines: Iterator[str]) -> dict[str, Any]:
    """What a stream says before it is done."""
    *_, last, done = lines
    assert done == "data: [DONE]"
    event: dict[str, Any] = json.loads(last.removeprefix("data: "))
    return event


def shared_by(process: psutil.Process) -> set[Path]:
    """The files of shared memory that a process has mapped."""
    mapped = {Path(region.path) for region in process.memory_maps(grouped=False)}
    return {path for path in mapped if path.is_relative_to(SHARED_MEMORY) and path.exists()}
