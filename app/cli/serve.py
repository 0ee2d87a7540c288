"""``codeserve serve``: load models and answer requests until told to stop."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codeserve.app.cli.failure import USAGE_ERROR, fail

if TYPE_CHECKING:
    from codeserve.app.settings import Settings

FIRST_ENGINE = "llama.cpp"
"""The engine that starts before the settings are read, because most models need it."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Config file (TOML).")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model to serve instead of the config file's: NAME[:SIZE][:QUANTIZATION] of the "
            "catalogue, such as deepseek-coder-instruct:1_3:Q4_K_M, or the path of a .gguf file or "
            "of a Hugging Face folder. May be given several times. Clients ask for it by the name "
            "given here, or by the name of the file or folder."
        ),
    ] = None,
    model_engine: Annotated[
        str | None,
        typer.Option(
            help="Engine for the models of --model: llama.cpp, vllm or transformers; default: the "
            "best installed one for each model and this machine."
        ),
    ] = None,
) -> None:
    """Serve models behind an OpenAI-compatible API; with nothing configured, the embedded one."""
    from codeserve.app.manager.spawning import head_start

    first = FIRST_ENGINE if model_engine in (None, FIRST_ENGINE) else None
    with head_start(first) as ahead:
        from codeserve.app.cli.listening import listen
        from codeserve.app.cli.service import run_service

        settings = _settings(host, port, config, model or [], model_engine)
        with listen(settings.server.host, settings.server.port) as listener:
            raise typer.Exit(run_service(settings, listener, ahead))


def _settings(
    host: str | None,
    port: int | None,
    config: Path | None,
    references: list[str],
    engine: str | None,
) -> "Settings":
    """The configuration with the command line's options on top."""
    from codeserve.app.setting_problems import SettingsError
    from codeserve.app.settings import Settings

    try:
        settings = Settings.load(config)
        given = {"host": host, "port": port}
        return settings.override(
            server={name: value for name, value in given.items() if value is not None},
            references=references,
            engine=engine,
        )
    except SettingsError as error:
        fail(str(error), USAGE_ERROR)
