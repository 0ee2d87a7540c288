import re
from pathlib import Path

import pytest

from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.app.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()


def test_the_example_is_a_valid_configuration(tmp_path: Path) -> None:
    [example] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "codeserve.toml"
    file.write_text(example)

    settings = Settings.load(file)

    assert [model.id for model in settings.models] == ["coder", "mine"]
    assert settings.models[1].options == {"n_gpu_layers": -1, "n_threads": 8}


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("The server", ServerSettings.model_fields.keys()),
        ("Models", ModelSettings.model_fields.keys() - ServerSettings.model_fields.keys()),
    ],
)
def test_every_key_has_its_topic(heading: str, keys: set[str]) -> None:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]

    assert keys <= set(re.findall(r"`(\w+)`", section))
