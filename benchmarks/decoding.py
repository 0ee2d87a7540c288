"""What a way of choosing tokens costs, beside plain greedy decoding in the same server.

    .venv/bin/python benchmarks/decoding.py --streams 8 --rounds 4

Starts ``codeserve serve`` with the embedded model, without drafts, lets a number of streams run at
once for each way, interleaved, and shows the median of tokens per second and its ratio to greedy.
"""

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

MODEL = "smollm2-135m-instruct"

CONFIG = """
[[models]]
id = "smollm2-135m-instruct"
model_name = "smollm2-instruct"
context_length = 2048
max_concurrency = {streams}
options = {{ tune = false, draft = false }}
"""

SCHEMA = {
    "type": "array",
    "minItems": 60,
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
    },
}

GREEDY = "greedy"
WAYS: dict[str, dict[str, Any]] = {
    GREEDY: {"ignore_eos": True},
    "greedy, logprobs 5": {"ignore_eos": True, "logprobs": 5},
    "greedy, JSON schema": {"structured_outputs": {"json": SCHEMA}},
    "temperature 1": {"ignore_eos": True, "temperature": 1, "top_p": 1, "seed": 1},
}


async def stream(client: httpx.AsyncClient, index: int, way: dict[str, Any], tokens: int) -> int:
    """The tokens that one stream got."""
    body = {
        "model": MODEL,
        "prompt": f"Story {index}: Once upon a time",
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        **way,
    }
    used = 0
    async with client.stream("POST", "/v1/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                usage = json.loads(line[6:]).get("usage")
                used = usage["completion_tokens"] if usage else used
    return used


async def rate(url: str, way: dict[str, Any], streams: int, tokens: int) -> float:
    """Tokens per second of all streams together."""
    async with httpx.AsyncClient(base_url=url, timeout=300) as client:
        started = time.monotonic()
        used = await asyncio.gather(*(stream(client, i, way, tokens) for i in range(streams)))
        return sum(used) / (time.monotonic() - started)


def measure(url: str, streams: int, tokens: int, rounds: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            rates[name].append(asyncio.run(rate(url, way, streams, tokens)))
    plain = statistics.median(rates[GREEDY])
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"{name:22} {median:7.1f} tokens/s {median / plain:5.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    command = Path(sys.executable).parent / "codeserve"
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "codeserve.toml"
        config.write_text(CONFIG.format(streams=arguments.streams))
        server = subprocess.Popen(
            [str(command), "serve", "--port", "0", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert server.stdout is not None
            found = (re.search(r"ready on (http://\S+)", line) for line in server.stdout)
            url = next(match[1] for match in found if match)
            measure(url, arguments.streams, arguments.tokens, arguments.rounds)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
