from pathlib import Path

import pytest

from codeserve.app.model_settings import EMBEDDED_MODEL, ModelSettings
from codeserve.app.setting_problems import SettingsError
from codeserve.app.settings import Settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "codeserve.toml"


def refusal(config: Path, text: str) -> str:
    config.write_text(text)
    with pytest.raises(SettingsError) as caught:
        Settings.load(config)
    return str(caught.value)


def test_with_nothing_configured_the_embedded_model_is_served() -> None:
    settings = Settings.load()
    assert settings.models == (EMBEDDED_MODEL,)
    assert settings.server.port == 8000


def test_the_config_file_of_the_design_is_understood(config: Path) -> None:
    config.write_text(
        """
        [server]
        port = 9000

        [[models]]
        id = "coder"
        model_name = "deepseek-coder-instruct"
        size_in_billions = "6_7"
        model_format = "ggufv2"
        quantization = "Q4_K_M"
        engine = "llama.cpp"
        max_concurrency = 8
        context_length = 8192

        [[models]]
        path = "/models/mine.gguf"
        family = "deepseek-coder"
        [models.options]
        n_gpu_layers = -1
        """
    )
    settings = Settings.load(config)
    coder, mine = settings.models
    assert settings.server.port == 9000
    assert (coder.id, coder.size_in_billions, coder.max_concurrency) == ("coder", "6_7", 8)
    assert (mine.id, mine.path, mine.options) == (
        "mine",
        Path("/models/mine.gguf"),
        {"n_gpu_layers": -1},
    )


def test_the_environment_wins_over_the_config_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("[server]\nport = 9000\nhost = '0.0.0.0'")
    monkeypatch.setenv("CODESERVE_PORT", "9100")
    server = Settings.load(config).server
    assert (server.port, server.host) == (9100, "0.0.0.0")


def test_a_bad_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESERVE_PORT", "http")
    with pytest.raises(SettingsError, match=r"^CODESERVE_PORT: .*integer.*'http'"):
        Settings.load()


def test_an_unknown_key_names_its_table_the_near_match_and_the_valid_keys(config: Path) -> None:
    message = refusal(config, "[server]\nprot = 9000")
    assert "[server]: unknown key 'prot'. Did you mean 'port'? Valid keys: certfile, " in message


def test_an_unknown_key_of_a_model_names_which_model(config: Path) -> None:
    message = refusal(
        config, "[[models]]\nmodel_name = 'a'\n[[models]]\nmodel_name = 'b'\nmax_concurency = 2"
    )
    assert "[[models]] number 2: unknown key 'max_concurency'" in message
    assert "Did you mean 'max_concurrency'?" in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[server]\nport = 'http'", "[server]: port: input should be a valid integer"),
        ("[server]\nport = 70000", "less than or equal to 65535, but 70000 was given"),
        ("[[models]]\nmodel_name = 'a'\nmax_concurrency = '8'", "max_concurrency: input should"),
        ("[[models]]\nid = 'a'", "set either model_name (a catalogue entry) or path"),
        ("[[models]]\nmodel_name = 'a'\npath = 'b.gguf'", "set either model_name"),
        ("[[models]]\nmodel_name = 'a'\nfamily = 'b'", "family goes with path"),
        ("[[models]]\npath = 'b.gguf'\nmodel_format = 'ggufv2'", "choose from the catalogue"),
        ("[[models]]\npath = 'b.gguf'\nquantization = '4-bit'", "not with a GGUF file"),
        ("[[models]]\npath = 'b'\nquantization = 'Q8_0'", "is none, 4-bit, 8-bit, but 'Q8_0'"),
        ("[[models]]\npath = 'b'\nengine_python = 'p'", "engine_python goes with engine"),
        ("[[models]]\npath = 'x/b.gguf'\n[[models]]\npath = 'y/b.gguf'", "two models are called"),
        ("[models]\nid = 'a'", "write one [[models]] table"),
        ("server = 3", "write a [server] table"),
        ("srver = {}", "unknown key 'srver'. Did you mean 'server'?"),
        ("port =", "not valid TOML"),
    ],
)
def test_a_bad_value_says_where_and_what_is_allowed(config: Path, text: str, part: str) -> None:
    message = refusal(config, text)
    assert message.startswith(str(config))
    assert part in message


def test_a_missing_config_file_is_named(config: Path) -> None:
    with pytest.raises(SettingsError, match=r"codeserve\.toml: No such file or directory"):
        Settings.load(config)


@pytest.mark.parametrize("size", ["'6_7'", "'6.7'", "6.7"])
def test_a_size_may_be_written_as_a_number(config: Path, size: str) -> None:
    config.write_text(f"[[models]]\nmodel_name = 'a'\nsize_in_billions = {size}")
    assert Settings.load(config).models[0].size_in_billions == "6_7"


@pytest.mark.parametrize(
    ("reference", "size", "quantization"),
    [
        ("coder", None, None),
        ("coder:1_3", "1_3", None),
        ("coder:1.3", "1_3", None),
        ("coder:Q4_K_M", None, "Q4_K_M"),
        ("coder:33:4-bit", "33", "4-bit"),
    ],
)
def test_a_reference_chooses_from_the_catalogue(
    reference: str, size: str | None, quantization: str | None
) -> None:
    model = ModelSettings.from_reference(reference)
    assert (model.id, model.model_name) == (reference, "coder")
    assert (model.size_in_billions, model.quantization) == (size, quantization)


@pytest.mark.parametrize(
    ("reference", "model_id"),
    [("./mine.gguf", "mine"), ("mine.gguf", "mine"), ("models/coder-1.3b/", "coder-1.3b")],
)
def test_a_reference_may_be_a_path(reference: str, model_id: str) -> None:
    model = ModelSettings.from_reference(reference)
    assert (model.id, model.path) == (model_id, Path(reference))


@pytest.mark.parametrize("reference", ["", ":1_3", "coder:", "coder:1_3:Q8_0:x"])
def test_a_malformed_reference_is_refused(reference: str) -> None:
    with pytest.raises(SettingsError, match="write NAME"):
        ModelSettings.from_reference(reference)


def test_origins_come_as_an_array_or_separated_by_commas(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('[server]\ncors_origins = ["https://a.example:8443"]')
    assert Settings.load(config).server.cors_origins == ("https://a.example:8443",)
    monkeypatch.setenv("CODESERVE_CORS_ORIGINS", "https://b.example,vscode-webview://c")
    assert Settings.load(config).server.cors_origins == ("https://b.example", "vscode-webview://c")


@pytest.mark.parametrize("value", ['["https://a.example/"]', '["a.example"]', "[1]", "0", "true"])
def test_what_is_no_origin_is_refused(config: Path, value: str) -> None:
    message = refusal(config, f"[server]\ncors_origins = {value}")
    assert "[server]: cors_origins: write origins such as" in message


@pytest.mark.parametrize("quantization", ["none", "4-bit", "8-bit"])
def test_a_folder_may_be_quantised_while_it_is_loaded(config: Path, quantization: str) -> None:
    config.write_text(f"[[models]]\npath = 'folder'\nquantization = '{quantization}'")
    assert Settings.load(config).models[0].quantization == quantization


def test_the_engine_of_the_command_line_goes_with_its_models() -> None:
    settings = Settings.load().override({}, ["coder:1_3", "folder/"], "vllm")
    assert [model.engine for model in settings.models] == ["vllm", "vllm"]
    with pytest.raises(SettingsError, match="--model-engine goes with --model"):
        Settings.load().override({}, [], "vllm")


def test_the_engines_folder_follows_the_data_home_unless_it_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert Settings.load().server.engines == Path("/data/codeserve/engines")
    monkeypatch.setenv("CODESERVE_ENGINES", "/engines")
    assert Settings.load().server.engines == Path("/engines")


def test_there_must_be_room_for_the_largest_body(config: Path) -> None:
    message = refusal(config, "[server]\nmax_buffered_bytes = '1MB'")
    assert (
        "[server]: max_buffered_bytes (1000000) is less than max_body_bytes (33554432)" in message
    )
