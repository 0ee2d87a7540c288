"""``codeserve serve``: load models and answer requests until told to stop."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codeserve.app.cli.failure import USAGE_ERROR, fail

if TYPE_CHECKING:
    from codeserve.app.settings import Settings

FIRST_ENGINE = "llama.cpp"
"""The engine that starts before the settings are read, because most models need it."""


def serve(  # noqa: PLR0913 - the command's options
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
    keys: Annotated[
        Path | None,
        typer.Option(help="File of API keys, from `codeserve keys create`; requests need one."),
    ] = None,
    certfile: Annotated[
        Path | None, typer.Option(help="TLS certificate with its chain (PEM): answer by HTTPS.")
    ] = None,
    keyfile: Annotated[
        Path | None, typer.Option(help="Private key of --certfile (PEM), if that has it not.")
    ] = None,
    insecure: Annotated[
        bool | None,
        typer.Option(
            "--insecure",
            help="Let anyone who reaches --host use and change this server, without keys.",
        ),
    ] = None,
) -> None:
    """Serve models behind an OpenAI-compatible API; with nothing configured, the embedded one."""
    from codeserve.app.manager.spawning import head_start

    first = FIRST_ENGINE if model_engine in (None, FIRST_ENGINE) else None
    with head_start(first) as ahead:
        from codeserve.app.cli.listening import listen
        from codeserve.app.cli.service import run_service

        given = {
            "host": host,
            "port": port,
            "keys": keys,
            "certfile": certfile,
            "keyfile": keyfile,
            "insecure": insecure,
        }
        settings = _settings(given, config, model or [], model_engine)
        with listen(settings.server.host, settings.server.port) as listener:
            raise typer.Exit(run_service(settings, listener, ahead))


def _settings(
    server: Mapping[str, object],
    config: Path | None,
    references: list[str],
    engine: str | None,
) -> "Settings":
    """The configuration with what the command line gives of ``server`` on top."""
    from codeserve.app.cli.protection import require_protection
    from codeserve.app.setting_problems import SettingsError
    from codeserve.app.settings import Settings

    try:
        settings = Settings.load(config).override(
            server={name: value for name, value in server.items() if value is not None},
            references=references,
            engine=engine,
        )
        require_protection(settings.server)
    except SettingsError as error:
        fail(str(error), USAGE_ERROR)
    return settings
