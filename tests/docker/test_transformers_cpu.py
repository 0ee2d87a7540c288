"""The image of Transformers for CPUs, built and run for real."""

import json
import shutil
from pathlib import Path

import pytest

from tests.docker.build import image
from tests.docker.conftest import Start
from tests.docker.store import Store

CONFIG = """
[[models]]
id = "tiny"
path = "/weights"
engine = "transformers"
max_concurrency = 2
"""


def test_it_serves_a_folder_of_weights_in_the_engines_own_environment(
    start: Start, store: Store, tmp_path: Path, tiny_deepseek_folder: Path
) -> None:
    if not store.has_image(image("transformers-cpu")):
        pytest.skip("python -m tests.docker.build transformers-cpu builds the image")
    weights = tmp_path / "weights"
    shutil.copytree(tiny_deepseek_folder, weights)
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755)
    container = start(
        "transformers-cpu",
        *("serve", "--config", "/etc/codeserve/config.toml"),
        mounts={config: "/etc/codeserve/config.toml", weights: "/weights"},
    )
    container.wait_until_ready()

    answer = container.client().completions.create(model="tiny", prompt="def", max_tokens=4)
    engines = json.loads(container.execute("codeserve", "engines", "list", "--json"))

    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    installed = next(one for one in engines if one["engine"] == "transformers")
    assert installed["state"] == "installed"
    assert installed["location"] == "/opt/engines/transformers"
