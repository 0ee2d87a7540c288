"""Tracing begins here, so that its libraries, which are an extra, are imported only where it is
asked for."""

from typing import TYPE_CHECKING

from codeserve.app.setting_problems import SettingsError

if TYPE_CHECKING:
    from codeserve.app.tracing.traces import Traces


def check_tracing() -> None:
    """Raise SettingsError where ``open_traces`` would."""
    try:
        from codeserve.app.tracing.exporting import choose_exporter

        choose_exporter()
    except ImportError as error:
        raise SettingsError(
            f"tracing: {error.name} is not installed here; pip install 'codeserve[otel]' adds what "
            "spans are made and sent with"
        ) from error


def open_traces() -> "Traces":
    """What makes spans of requests, and sends them to where the environment says.

    Raises SettingsError where its libraries are missing or the environment is wrong.
    """
    check_tracing()
    from codeserve.app.tracing.exporting import open_provider
    from codeserve.app.tracing.traces import Traces

    return Traces(open_provider())
