"""llm-ls: a whole completion, of which it reads each choice's text."""

from tests.e2e.recorded.editor import BASE, MARKED, MIDDLE, ask
from tests.e2e.server import Server

COMPLETION = {
    "model": BASE,
    "prompt": MARKED,
    "max_tokens": 60,
    "temperature": 0.2,
    "top_p": 0.95,
    "stop": ["<｜end▁of▁sentence｜>"],
    "stream": False,
}


def test_every_choice_has_a_text(server: Server) -> None:
    choices = ask(server, "/v1/completions", COMPLETION).json()["choices"]
    assert [choice["text"] for choice in choices] == [MIDDLE]
