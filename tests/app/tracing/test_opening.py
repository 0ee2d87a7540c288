import sys

import pytest

from codeserve.app.setting_problems import SettingsError
from codeserve.app.tracing.opening import check_tracing, open_traces


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "codeserve.app.tracing.exporting", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(SettingsError, match=r"pip install 'codeserve\[otel\]'"):
        check_tracing()


@pytest.mark.parametrize(
    ("variable", "allowed"),
    [
        ("OTEL_TRACES_EXPORTER", "otlp, console and none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf and grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf and grpc"),
    ],
)
def test_an_environment_that_names_no_exporter_is_an_error(
    monkeypatch: pytest.MonkeyPatch, variable: str, allowed: str
) -> None:
    monkeypatch.setenv(variable, "pigeon")
    with pytest.raises(SettingsError, match=f"{variable}: {allowed} are known, not 'pigeon'"):
        open_traces()


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "console"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_the_environment_chooses_the_exporter(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    check_tracing()
