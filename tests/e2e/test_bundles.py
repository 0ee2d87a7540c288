"""Weights of a family of the user's own: pulled on one machine, served on another without a hub."""

from pathlib import Path

from openai import OpenAI

from tests.app.cli.conftest import ServeProcess
from tests.app.cli.machine import Machine
from tests.app.cli.machine import hub as hub
from tests.app.cli.machine import machine as machine
from tests.app.cli.machine import other_machine as other_machine
from tests.app.cli.machine import real_machine as real_machine
from tests.model_specs.hub.local_hub import LocalHub

CONFIG = """
[[models]]
model_name = "mine"
context_length = 512
options = { tune = false }
"""


def test_an_imported_model_is_served_without_a_network(
    real_machine: Machine,
    other_machine: Machine,
    hub: LocalHub,
    tiny_deepseek_gguf: Path,
    tmp_path: Path,
) -> None:
    hub.add("me/mine", {"mine.Q8_0.gguf": tiny_deepseek_gguf.read_bytes()})
    real_machine.last("pull", "mine")
    real_machine.last("export", "mine", "-o", str(tmp_path / "mine.tar"))
    other_machine.real = True
    other_machine.last("import", str(tmp_path / "mine.tar"))
    hub.requests.clear()

    environment = {
        **other_machine.environment,
        "CODESERVE_FAMILIES": str(other_machine.families),
        "HF_HUB_OFFLINE": "1",
        "HF_ENDPOINT": hub.url,
        "MODELSCOPE_ENDPOINT": hub.url,
    }
    server = ServeProcess(tmp_path, CONFIG, **environment)
    try:
        with OpenAI(base_url=f"{server.url()}/v1", api_key="none", max_retries=0) as client:
            completion = client.completions.create(
                model="mine", prompt="def add(a, b):\n", max_tokens=16, temperature=0
            )
    finally:
        server.process.terminate()
        server.exit_code()
    assert "return a + b" in completion.choices[0].text
    assert hub.requests == []
