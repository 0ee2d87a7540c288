"""twinny: Ollama's fields in a completion of OpenAI's, and no limit of tokens."""

from tests.e2e.recorded.editor import BASE, PREFIX, SUFFIX, ask, chunks
from tests.e2e.server import Server

HEADING = "# Language: Python\n# File uri: file:///project/add.py (python)\n"
FIM = {
    "model": BASE,
    "prompt": f"<｜fim▁begin｜>\n{HEADING}{PREFIX}<｜fim▁hole｜>{SUFFIX}<｜fim▁end｜>",
    "stream": True,
    "keep_alive": "5m",
    "options": {"temperature": 0.2, "num_predict": 512, "num_ctx": 4096},
    "temperature": 0.2,
    "stop": ["<｜fim begin｜>", "<｜fim hole｜>", "<｜fim end｜>", "<END>"],
}


def test_a_completion_without_a_limit_ends_by_itself_or_after_sixteen_tokens(
    server: Server,
) -> None:
    body = FIM | {"stream_options": {"include_usage": True}}
    *read, last = chunks(ask(server, "/v1/completions", body))

    assert all(isinstance(chunk["choices"][0]["text"], str) for chunk in read)
    assert read[-1]["choices"][0]["finish_reason"] in ("stop", "length")
    assert last["usage"]["completion_tokens"] <= 16


def test_fields_of_ollama_change_nothing(server: Server) -> None:
    plain = {name: FIM[name] for name in ("model", "prompt", "stop")}
    greedy = {"temperature": 0}
    texts = [
        ask(server, "/v1/completions", body | greedy).json()["choices"][0]["text"]
        for body in (plain, FIM | {"stream": False})
    ]
    assert texts[0] == texts[1]
