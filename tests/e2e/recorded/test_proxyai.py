"""ProxyAI: other files before the markers, and a service described by its user."""

from tests.e2e.recorded.editor import BASE, MARKED, MIDDLE, ask, chunks
from tests.e2e.server import Server

CUSTOM_SERVICE = {"stream": True, "prompt": MARKED, "temperature": 0.2, "max_tokens": 24}


def test_a_custom_service_is_read_to_its_end(server: Server) -> None:
    read = chunks(ask(server, "/v1/completions", CUSTOM_SERVICE | {"model": BASE}))
    assert "".join(chunk["choices"][0]["text"] for chunk in read) == MIDDLE


def test_other_files_come_before_the_markers(server: Server) -> None:
    body = {
        "model": BASE,
        "prompt": f"#values.py\nvalue = 1\n#main.py\n{MARKED}",
        "stop": ["<|EOT|>", "<｜end▁of▁sentence｜>"],
        "stream": False,
        "temperature": 0,
        "max_tokens": 24,
    }
    assert ask(server, "/v1/completions", body).json()["choices"][0]["text"] == MIDDLE
