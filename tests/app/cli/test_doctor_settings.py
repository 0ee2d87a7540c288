"""Every value of the configuration is shown with where it came from."""

from pathlib import Path

import pytest

from codeserve.app.cli.doctor_settings import settings_lines, settings_report
from codeserve.app.settings import Settings

CONFIG = """
[server]
port = 9000
drain_timeout = 5

[[models]]
id = "coder"
model_name = "deepseek-coder"
size_in_billions = "1_3"

[models.options]
n_threads = 2
hf_token = "hf_abc"

[[models]]
path = "/models/mine.gguf"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "codeserve.toml"
    file.write_text(CONFIG)
    return file


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("codeserve_port", "9100")
    report = settings_report(Settings.load(config), config, given=False)["server"]
    assert report["port"] == {"value": 9100, "origin": "environment variable CODESERVE_PORT"}
    assert report["drain_timeout"] == {"value": 5.0, "origin": f"config file {config}"}
    assert report["host"] == {"value": "127.0.0.1", "origin": "default"}


def test_each_model_tells_what_the_file_says_and_what_is_a_default(config: Path) -> None:
    coder, mine = settings_report(Settings.load(config), config, given=False)["models"]
    file = f"config file {config}"
    assert coder["size_in_billions"] == {"value": "1_3", "origin": file}
    assert coder["max_concurrency"] == {"value": 4, "origin": "default"}
    assert coder["options.n_threads"] == {"value": 2, "origin": file}
    assert mine["path"] == {"value": "/models/mine.gguf", "origin": file}
    assert mine["id"] == {"value": "mine", "origin": "default"}


def test_a_secret_is_not_shown(config: Path) -> None:
    coder, _ = settings_report(Settings.load(config), config, given=False)["models"]
    assert coder["options.hf_token"]["value"] == "(set, not shown)"
    assert "hf_abc" not in str(settings_lines(coder))


def test_a_model_of_the_command_line_replaces_those_of_the_file(config: Path) -> None:
    settings = Settings.load(config).override({}, ["deepseek-coder:1_3"])
    [model] = settings_report(settings, config, given=True)["models"]
    assert model["model_name"] == {"value": "deepseek-coder", "origin": "command line"}
    assert model["max_concurrency"]["origin"] == "default"


def test_the_embedded_model_is_a_default() -> None:
    [model] = settings_report(Settings.load(), None, given=False)["models"]
    assert {one["origin"] for one in model.values()} == {"default"}
    assert settings_lines(model)["model_name"] == "smollm2-instruct  (default)"
