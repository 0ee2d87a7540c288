import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeserve.app.api.admin.job_types import JobReply
from codeserve.app.launch_request import MEANINGLESS, LaunchRequest
from tests.app.conftest import RunningServer, running_server

PAGE = (Path(__file__).parents[2] / "docs" / "admin-api.md").read_text()
ADDRESS = "http://127.0.0.1:8000"
WEIGHTS = "/models/mine.gguf"

UNNAMED = ("/v1/cluster/auth", "/v1/engines/{model_name}", "/v1/models/{model_id}/unpin")
"""What only Xinference's clients ask for, and what is named beside another route."""


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server() as server:
        yield server


def section(heading: str) -> str:
    return PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def rows(text: str) -> set[str]:
    """What the first column of a table names."""
    columns = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for column in columns for name in re.findall(r"`(\w+)`", column)}


def test_the_examples_work_in_their_order(server: RunningServer, tiny_deepseek_gguf: Path) -> None:
    examples = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 4
    for example in examples:
        script = example.replace(ADDRESS, server.url).replace(WEIGHTS, str(tiny_deepseek_gguf))
        script = re.sub(r"\bcurl ", "curl --fail-with-body --silent --show-error ", script)
        done = subprocess.run(
            ["bash", "-e", "-c", script], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{example}: {done.stdout}{done.stderr}"


def test_the_page_names_every_field_of_a_launch() -> None:
    assert rows(section("Launching")) == set(LaunchRequest.model_fields)


def test_the_page_names_every_field_that_is_refused() -> None:
    refused = section("Launching").partition("unsupported_parameter`")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", refused)) == set(MEANINGLESS)


def test_the_page_names_every_field_of_a_job() -> None:
    assert rows(section("Jobs")) == JobReply.model_fields.keys() - {"object"}


def test_the_page_names_every_route(server: RunningServer) -> None:
    with server.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    documented = {
        (method, re.sub(r"\[.*|\?.*", "", path))
        for method, path in re.findall(r"`(GET|POST|DELETE) (/v1/[^`]+)`", PAGE)
    }
    names = {"{model_id}": "{id}", "{job_id}": "{job}", "{model_type}": "{type}"}
    for path, item in paths.items():
        for method, operation in item.items():
            if "admin" in operation["tags"] and path not in UNNAMED:
                for name, short in {**names, "{model_name}": "{name}"}.items():
                    path = path.replace(name, short)
                assert (method.upper(), path) in documented
