"""The image of llama.cpp for CPUs, built and run for real."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CalledProcessError
from threading import Barrier

import pytest

from codeserve.engines.llama_cpp.build import cpu_features
from tests.docker.build import image
from tests.docker.conftest import Start
from tests.docker.container import LOCKED_DOWN, Container
from tests.docker.store import Store

TARGET = "llama-cpp-cpu"
MODEL = "smollm2-135m-instruct"
STREAMS = 20
MAX_TOKENS = 64
LARGEST = 700_000_000
"""Bytes of the image, on a base of about 200 MB; it may grow, but not unnoticed."""

HEALTHCHECK = ("/opt/venv/bin/python", "-I", "/opt/healthcheck.py")

CONFIG = """
[server]
drain_timeout = 60

[[models]]
id = "coder"
model_name = "smollm2-instruct"
max_concurrency = 16
context_length = 256
"""


def ask(container: Container, model: str = MODEL) -> str:
    answer = container.client().chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Say hello."}],
        max_tokens=8,
        temperature=0,
    )
    return answer.choices[0].message.content or ""


def test_it_serves_the_embedded_model_without_any_right_or_writable_root(start: Start) -> None:
    container = start(TARGET)
    container.wait_until_ready()

    assert ask(container)
    assert container.execute("id", "-u").strip() == "10001"
    status = container.execute("cat", "/proc/1/status")
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert "Read-only" in container.execute("sh", "-c", "touch /opt/file 2>&1 || true")


def test_the_best_kernels_for_this_cpu_are_the_ones_that_are_loaded(start: Start) -> None:
    container = start(TARGET)
    container.wait_until_ready()

    maps = container.execute("sh", "-c", "cat /proc/[0-9]*/maps")
    loaded = set(re.findall(r"libggml-cpu-(\w+)\.so", maps))

    features = set(cpu_features().split())
    assert len(loaded) == 1
    if "amx_int8" in features:
        assert loaded == {"sapphirerapids"}
    elif "avx512f" in features:
        assert loaded <= {"skylakex", "cannonlake", "cascadelake", "icelake", "cooperlake", "zen4"}
    elif "avx2" in features:
        assert loaded <= {"haswell", "alderlake"}
    else:
        assert loaded <= {"x64", "sse42", "sandybridge", "ivybridge", "piledriver"}


def test_it_needs_no_network(store: Store) -> None:
    proof = (
        "import json, subprocess, time, urllib.request as net\n"
        "server = subprocess.Popen(['codeserve', 'serve', '--host', '127.0.0.1'])\n"
        "while True:\n"
        "    try:\n"
        "        net.urlopen('http://127.0.0.1:8000/readyz'); break\n"
        "    except OSError:\n"
        "        assert server.poll() is None; time.sleep(0.1)\n"
        f"body = json.dumps({{'model': '{MODEL}', 'prompt': 'a', 'max_tokens': 2}}).encode()\n"
        "request = net.Request('http://127.0.0.1:8000/v1/completions', body,\n"
        "                      {'Content-Type': 'application/json'})\n"
        "answer = json.load(net.urlopen(request))\n"
        "server.terminate()\n"
        "print(answer['usage']['completion_tokens'], server.wait())\n"
    )

    printed = store.run(
        *("podman", "run", "--rm", "--network", "none", *LOCKED_DOWN),
        *("--entrypoint", "/opt/venv/bin/python", image(TARGET), "-c", proof),
        seconds=150,
    )

    assert printed.splitlines()[-1] == "2 0"


def test_docker_learns_whether_it_is_ready(start: Start, store: Store) -> None:
    container = start(TARGET)
    container.wait_until_ready()

    store.run("podman", "healthcheck", "run", container.id)

    assert container.state["Health"]["Status"] == "healthy"
    with pytest.raises(CalledProcessError):
        container.execute("env", f"HEALTHCHECK_URL={container.url}/nowhere", *HEALTHCHECK)


def test_twenty_streams_end_whole_when_it_is_told_to_stop(start: Start, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    config.chmod(0o644)
    container = start(
        TARGET,
        *("serve", "--config", "/etc/codeserve/config.toml"),
        mounts={config: "/etc/codeserve/config.toml"},
    )
    container.wait_until_ready()
    running = Barrier(STREAMS + 1, timeout=60)

    def read_stream(number: int) -> tuple[str | None, int]:
        stream = container.client().completions.create(
            model="coder",
            prompt=f"Count from {number}:",
            max_tokens=MAX_TOKENS,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"ignore_eos": True},
        )
        running.wait()
        events = list(stream)
        reasons = [event.choices[0].finish_reason for event in events if event.choices]
        usage = events[-1].usage
        return reasons[-1], usage.completion_tokens if usage else 0

    with ThreadPoolExecutor(STREAMS) as pool:
        streams = [pool.submit(read_stream, number) for number in range(STREAMS)]
        running.wait()
        stopping = container.tell_to_stop(seconds=60)
        endings = [stream.result() for stream in streams]

    assert endings == [("length", MAX_TOKENS)] * STREAMS
    assert stopping.wait(60) == 0
    assert container.state["ExitCode"] == 0


def test_doctor_says_what_is_in_the_image(start: Start) -> None:
    container = start(TARGET)
    container.wait_until_ready()

    report = json.loads(container.execute("codeserve", "doctor", "--json"))

    assert "kernels chosen where it runs" in report["llama_cpp"]["recipe"]
    assert report["llama_cpp"]["features"]


def test_it_is_small(store: Store) -> None:
    inspected = json.loads(store.run("podman", "image", "inspect", image(TARGET)))[0]

    assert inspected["Size"] < LARGEST
    assert inspected["Config"]["User"] == "10001:10001"
