"""What an operator can set, from the config file, the environment and the command line."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from codeserve.app.environments.location import default_folder
from codeserve.app.setting_problems import Tables, explain
from codeserve.engines.types import LoadQuantization
from codeserve.model_specs.hub.location import default_store
from codeserve.model_specs.spec import Hub

UNQUANTIZED = "none"
"""The quantisation of weights that stay as they are."""

SIZE = re.compile(r"\d+(?:[._]\d+)?")

ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/\s]+")


class SettingsError(ValueError):
    """The configuration is invalid; the message says where, why and what is allowed."""


def _size(value: object) -> object:
    """Accept ``6_7``, ``6.7`` and plain numbers for a size in billions."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    return str(value).replace(".", "_")


def _engine(value: object) -> object:
    """Accept an engine's name in any case, as Xinference writes ``vLLM`` and ``Transformers``."""
    return value.lower() if isinstance(value, str) else value


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


class ModelSettings(BaseModel):
    """One model to serve: a catalogue entry (``model_name``) or local weights (``path``)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())

    id: Annotated[str, Field(min_length=1)] = ""
    """The name clients ask for; when omitted ``model_name``, or the name of ``path``."""
    model_name: str | None = None
    """A family of the catalogue."""
    size_in_billions: Annotated[str | None, BeforeValidator(_size)] = None
    model_format: str | None = None
    quantization: str | None = None
    engine: Annotated[str | None, BeforeValidator(_engine)] = None
    """In any case, as ``vLLM``; None: the best installed one for the weights and the machine."""
    engine_python: Annotated[Path | None, Field(strict=False)] = None
    """The interpreter of an environment of your own for ``engine``; None: codeserve's."""
    max_concurrency: PositiveInt = 4
    """Requests decoded together."""
    context_length: PositiveInt | None = None
    """Tokens per request, prompt and output together; None: the engine's default."""
    path: Annotated[Path | None, Field(strict=False)] = None
    """A GGUF file or a Hugging Face folder."""
    family: str | None = None
    """Family whose prompt format the weights of ``path`` use; None: read from the weights."""
    hub: Annotated[Hub | None, Field(strict=False)] = None
    """The only hub to fetch from; None: the first that has the weights."""
    load: Literal["start", "on_demand"] = "start"
    """Load at once, or when the first request comes."""
    idle_timeout: PositiveFloat | None = None
    """Seconds without a request after which its memory is given back; None: the server's."""
    pinned: bool = False
    """Never unload it, neither when idle nor to make room."""
    replica: PositiveInt = 1
    """Workers, each with the whole model."""
    n_gpu: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """GPUs of each worker; 0: compute on the CPU."""
    gpu_idx: Annotated[tuple[NonNegativeInt, ...] | None, Field(strict=False)] = None
    """The GPUs that its workers may use, as the driver counts them; None: any."""
    options: dict[str, Any] = {}
    """The engine's own settings under its own names."""

    @model_validator(mode="before")
    @classmethod
    def _name_by_weights(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "id" in data:
            return data
        if data.get("model_name"):
            return {**data, "id": data["model_name"]}
        if data.get("path"):
            return {**data, "id": Path(str(data["path"])).name.removesuffix(".gguf")}
        return data

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.model_name is None) == (self.path is None):
            raise PydanticCustomError(
                "model_origin", "set either model_name (a catalogue entry) or path (local weights)"
            )
        if self.path is None and self.family is not None:
            raise PydanticCustomError("model_origin", "family goes with path; drop one of them")
        if self.path is not None and (self.size_in_billions or self.model_format):
            raise PydanticCustomError(
                "model_origin",
                "size_in_billions and model_format choose from the catalogue; they do not go with "
                "path",
            )
        return self

    @model_validator(mode="after")
    def _quantizable(self) -> Self:
        if self.path is None or self.quantization is None:
            return self
        if self.path.suffix.lower() == ".gguf":
            raise PydanticCustomError(
                "model_origin",
                "quantization goes with a folder of weights or a catalogue entry, not with a GGUF "
                "file, which is quantised as it is",
            )
        if self.quantization not in (UNQUANTIZED, *LoadQuantization):
            raise PydanticCustomError(
                "model_origin",
                "quantization beside path is {choices}, but {given} was given",
                {
                    "choices": f"{UNQUANTIZED}, {', '.join(LoadQuantization)}",
                    "given": repr(self.quantization),
                },
            )
        return self

    @model_validator(mode="after")
    def _one_engine(self) -> Self:
        if self.engine_python is not None and self.engine is None:
            raise PydanticCustomError(
                "model_origin",
                "engine_python goes with engine; say which engine is installed there",
            )
        return self

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """The model of a table as the config file spells it. Raises SettingsError."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            found = error.errors()
            for item in found:
                item["loc"] = ("models", *item["loc"])
            raise SettingsError("; ".join(_explain(item, None) for item in found)) from error

    @classmethod
    def from_reference(cls, reference: str, engine: str | None = None) -> Self:
        """The model that ``NAME[:SIZE][:QUANTIZATION]`` or a path to weights means.

        A reference that ends in ``.gguf`` or contains a path separator is a path. The id of a
        catalogue entry is the reference as written. Raises SettingsError.
        """
        if reference.endswith(".gguf") or "/" in reference:
            return cls(path=Path(reference).expanduser(), engine=engine)
        name, *parts = reference.split(":")
        size = parts.pop(0) if parts and SIZE.fullmatch(parts[0]) else None
        quantization = parts.pop(0) if parts else None
        if parts or not name or quantization == "":
            raise SettingsError(
                f"{reference!r} is no model reference; write NAME[:SIZE][:QUANTIZATION], such as "
                "deepseek-coder-instruct:1_3:Q4_K_M, or the path of a .gguf file or a folder"
            )
        return cls(
            id=reference,
            model_name=name,
            size_in_billions=size,
            quantization=quantization,
            engine=engine,
        )


EMBEDDED_MODEL = ModelSettings(id="smollm2-135m-instruct", model_name="smollm2-instruct")
"""Served when nothing is configured; its weights come with the installation."""


class ServerSettings(BaseSettings):
    """The server's own settings; ``CODESERVE_PORT`` and its like win over the config file."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix="CODESERVE_")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0 takes any free port."""
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
    """The file that remembers what was launched; None: one for each port, none for port 0."""
    store: Path = Field(default_factory=default_store)
    """The folder of what was pulled and imported; hubs' own caches keep the files they fetched."""
    offline: bool = False
    """Make no network call: serve what is on this machine."""
    max_body_bytes: NonNegativeInt = 32 * 1024 * 1024
    cors_origins: Origins = ("*",)
    """Web pages of these origins, such as ``https://example.org``, may read responses."""
    families: Path | None = None
    """A folder with model families of your own, as TOML files."""
    engines: Path = Field(default_factory=default_folder)
    """The folder of the engines' environments, which ``codeserve engines install`` makes."""
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

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


class Settings(BaseModel):
    """The whole configuration, as the config file spells it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    server: ServerSettings = Field(default_factory=ServerSettings)
    models: tuple[ModelSettings, ...] = (EMBEDDED_MODEL,)

    @model_validator(mode="after")
    def _distinct_ids(self) -> Self:
        ids = [model.id for model in self.models]
        for model_id in ids:
            if ids.count(model_id) > 1:
                raise PydanticCustomError(
                    "duplicate_id",
                    "two models are called {id}; give each an id of its own",
                    {"id": repr(model_id)},
                )
        return self

    def override(
        self, server: Mapping[str, Any], references: Sequence[str], engine: str | None = None
    ) -> Self:
        """These settings with valid ``server`` settings on top, and with the models that
        ``references`` mean, on ``engine``, instead of theirs, if there are any.

        Raises SettingsError.
        """
        if engine is not None and not references:
            raise SettingsError("--model-engine goes with --model; in a config file, write engine")
        given = (ModelSettings.from_reference(reference, engine) for reference in references)
        models = tuple(given) or self.models
        return self._build({"server": self.server.model_copy(update=server), "models": models})

    @classmethod
    def load(cls, file: Path | None = None) -> Self:
        """Read ``file`` (TOML) and the environment. Raises SettingsError."""
        if file is None:
            return cls._build({})
        try:
            data = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"{file}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{file}: not valid TOML: {error}") from error
        return cls._build(data, file)

    @classmethod
    def _build(cls, data: Mapping[str, Any], file: Path | None = None) -> Self:
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            lines = (_explain(item, file) for item in error.errors())
            raise SettingsError("\n".join(lines)) from error


def _explain(error: ErrorDetails, file: Path | None) -> str:
    tables: Tables = {"": Settings, "server": ServerSettings, "models": ModelSettings}
    return explain(error, file, tables)
