"""What was computed once is not computed again, seen by a client."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.server import Server

FILE = "".join(f"def item_{n}(value):\n    return value + {n}\n\n\n" for n in range(40))
CONFIG = """
[[models]]
id = "small"
model_name = "smollm2-instruct"
context_length = 2048
options = {{ tune = false, cache_disk = "{folder}" }}
"""


def complete(server: Server, prompt: str, **fields: Any) -> Any:
    return server.client.completions.create(
        model="small", prompt=prompt, max_tokens=4, temperature=0, **fields
    )


def cached(completion: Any) -> tuple[int, int]:
    """Tokens of the prompt, and how many of them were cached."""
    usage = completion.usage
    return usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens


@pytest.fixture
def server(start_server: StartServer, tmp_path: Path) -> Server:
    return start_server(CONFIG.format(folder=tmp_path / "prefixes"))


def test_a_prompt_sent_again_is_computed_but_for_its_last_token(server: Server) -> None:
    cold, warm = complete(server, FILE), complete(server, FILE)
    prompt_tokens, none = cached(cold)
    assert none == 0
    assert cached(warm) == (prompt_tokens, prompt_tokens - 1)


def test_a_keystroke_computes_what_was_typed(server: Server) -> None:
    complete(server, FILE)
    for typed in ("def", "def item", "def item_40(value"):
        prompt_tokens, known = cached(complete(server, FILE + typed))
        assert prompt_tokens - known < 12


def test_a_cancelled_request_leaves_what_it_has_computed(server: Server) -> None:
    stream = server.client.completions.create(
        model="small", prompt=FILE, max_tokens=500, temperature=0, stream=True
    )
    next(iter(stream))
    stream.close()
    prompt_tokens, known = cached(complete(server, FILE + "def"))
    assert prompt_tokens - known < 6


def test_a_restarted_server_is_warm(start_server: StartServer, tmp_path: Path) -> None:
    config = CONFIG.format(folder=tmp_path / "prefixes")
    first = start_server(config)
    complete(first, FILE)
    first.end()

    prompt_tokens, known = cached(complete(start_server(config), FILE))
    assert prompt_tokens - known < 64
