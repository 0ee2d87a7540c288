"""What an operator can set for the server itself."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    ByteSize,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from codeserve.app.environments.location import default_folder
from codeserve.model_specs.hub.location import default_store

ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/\s]+")


def _origins(value: object) -> object:
    """Accept origins separated by commas, as the environment has them; an empty text is none."""
    if value == "":
        return ()
    origins = value.split(",") if isinstance(value, str) else value
    if not isinstance(origins, list | tuple) or not all(map(_is_origin, origins)):
        raise PydanticCustomError(
            "origins", 'write origins such as ["https://example.org"], ["*"] for all, or []'
        )
    return tuple(origins)


def _is_origin(value: object) -> bool:
    return isinstance(value, str) and ORIGIN.fullmatch(value) is not None


Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)]


class ServerSettings(BaseSettings):
    """The server's own settings; ``CODESERVE_PORT`` and its like win over the config file."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix="CODESERVE_")

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """The port to listen on; 0 takes any free one."""
    certfile: Path | None = None
    """The TLS certificate with its chain, as PEM; None: plain HTTP."""
    keyfile: Path | None = None
    """The private key of ``certfile``, where that does not hold it."""
    keys: Path | None = None
    """The file of the API keys, which ``codeserve keys`` writes; None: no key is asked for."""
    insecure: bool = False
    """Listen on addresses that other machines reach without asking for keys."""
    open_metrics: bool = False
    """Answer ``GET /metrics`` without a key, for scrapers that cannot send one."""
    redis: str | None = None
    """The URL of a Redis server that counts the requests and tokens of keys for several servers;
    None: each server counts for itself."""
    max_waiting: NonNegativeInt = 256
    """Requests that may wait for their turn with one model."""
    max_waiting_tokens: PositiveInt | None = None
    """Prompt tokens that may wait for their turn with one model; None: any number."""
    queue_timeout: PositiveFloat | None = None
    """Seconds that a request may wait for its turn; None: as long as its client does."""
    first_token_timeout: PositiveFloat | None = None
    """Seconds until a request's first token; None: as long as its client waits."""
    request_timeout: PositiveFloat | None = None
    """Seconds until a request's end; None: as long as its client waits."""
    stall_timeout: PositiveFloat = 300.0
    """Seconds without progress after which a worker that has work is replaced."""
    heartbeat_timeout: PositiveFloat = 30.0
    """Seconds of silence after which a worker is replaced."""
    keepalive_seconds: PositiveFloat = 15.0
    """Seconds that a stream may be silent; comments keep its connection open."""
    drain_timeout: NonNegativeFloat = 60.0
    """Seconds that running requests get to finish when the server is told to stop."""
    max_memory: ByteSize | None = None
    """Bytes, or a size such as ``"20GB"``, that all loaded models may take together; None: what
    the machine has."""
    max_loaded: PositiveInt | None = None
    """Models that may be loaded at once; None: as many as fit."""
    idle_timeout: PositiveFloat | None = None
    """Seconds without a request after which a model's memory is given back; None: never."""
    load_timeout: PositiveFloat = 600.0
    """Seconds that a request waits for its model to be loaded on demand."""
    state: Path | None = None
    """The file that remembers what was launched; None: ``codeserve/PORT.json`` under
    ``$XDG_STATE_HOME`` or ``~/.local/state``, and none for port 0."""
    store: Path = Field(default_factory=default_store)
    """The folder of what was pulled and imported; hubs' own caches keep the files they fetched. By
    default ``codeserve/models`` under ``$XDG_DATA_HOME`` or ``~/.local/share``."""
    offline: bool = False
    """Make no network call: serve what is on this machine."""
    max_body_bytes: NonNegativeInt = 32 * 1024 * 1024
    """Bytes of the largest request body."""
    max_buffered_bytes: ByteSize = ByteSize(256 * 1024 * 1024)
    """Bytes, or a size such as ``"1GB"``, of the bodies of all requests in progress."""
    cors_origins: Origins = ("*",)
    """Web pages of these origins, such as ``https://example.org``, may read responses; ``["*"]`` is
    all, ``[]`` none. In the environment separated by commas."""
    families: Path | None = None
    """The folder of model families of your own, as TOML files; None: ``codeserve/families`` under
    ``$XDG_DATA_HOME`` or ``~/.local/share``, which need not be there."""
    engines: Path = Field(default_factory=default_folder)
    """The folder of the engines' environments, which ``codeserve engines install`` makes. By
    default ``codeserve/engines`` under ``$XDG_DATA_HOME`` or ``~/.local/share``."""
    tracing: bool = False
    """Send OpenTelemetry spans to where ``OTEL_EXPORTER_OTLP_ENDPOINT`` says."""
    log_format: Literal["text", "json"] = "text"
    """How log lines are written; ``json``: one object a line."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important log lines that are written."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then what the config file says."""
        return env_settings, init_settings
