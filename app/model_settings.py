"""What an operator can set for one model."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from codeserve.app.setting_problems import SettingsError, explain
from codeserve.engines.types import LoadQuantization
from codeserve.model_specs.spec import Hub

UNQUANTIZED = "none"
"""The quantisation of weights that stay as they are."""

SIZE = re.compile(r"\d+(?:[._]\d+)?")


def _size(value: object) -> object:
    """Accept ``6_7``, ``6.7`` and plain numbers for a size in billions."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    return str(value).replace(".", "_")


def _engine(value: object) -> object:
    """Accept an engine's name in any case, as Xinference writes ``vLLM`` and ``Transformers``."""
    return value.lower() if isinstance(value, str) else value


class ModelSettings(BaseModel):
    """One model to serve: a catalogue entry (``model_name``) or local weights (``path``)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())

    id: Annotated[str, Field(min_length=1)] = ""
    """The name clients ask for; when omitted ``model_name``, or the name of ``path``."""
    model_name: str | None = None
    """A family of the catalogue."""
    size_in_billions: Annotated[str | None, BeforeValidator(_size)] = None
    """Which size of ``model_name``, such as ``"6_7"``; None: its default."""
    model_format: str | None = None
    """Which format of ``model_name``; None: its default, or one that ``engine`` loads."""
    quantization: str | None = None
    """Which quantisation of ``model_name``; None: its default. Beside the ``path`` of a folder
    ``none``, ``4-bit`` or ``8-bit``: what its weights become while they are loaded."""
    engine: Annotated[str | None, BeforeValidator(_engine)] = None
    """``llama.cpp``, ``vllm`` or ``transformers``, in any case; None: the best installed one for
    the weights and the machine."""
    engine_python: Annotated[Path | None, Field(strict=False)] = None
    """The interpreter of an environment of your own for ``engine``; None: codeserve's."""
    max_concurrency: PositiveInt = 4
    """Requests decoded together; more wait."""
    context_length: PositiveInt | None = None
    """Tokens per request, prompt and output together; None: the engine's default."""
    max_waiting: NonNegativeInt | None = None
    """Requests that may wait for their turn; None: the server's."""
    max_waiting_tokens: PositiveInt | None = None
    """Prompt tokens that may wait for their turn; None: the server's."""
    queue_timeout: PositiveFloat | None = None
    """Seconds that a request may wait for its turn; None: the server's."""
    first_token_timeout: PositiveFloat | None = None
    """Seconds until its first token; None: the server's."""
    request_timeout: PositiveFloat | None = None
    """Seconds until its end; None: the server's."""
    path: Annotated[Path | None, Field(strict=False)] = None
    """A GGUF file or a Hugging Face folder."""
    family: str | None = None
    """Family whose prompt format the weights of ``path`` use; None: read from the weights."""
    hub: Annotated[Hub | None, Field(strict=False)] = None
    """The only hub to fetch from; None: the first that has the weights."""
    load: Literal["start", "on_demand"] = "start"
    """Load at once, or when the first request comes."""
    load_stall_timeout: PositiveFloat | None = None
    """Seconds without any progress of loading after which its worker is replaced; None: any number,
    since slow storage and an engine that compiles look the same as a hang."""
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
            tables = {"": cls, "models": cls}
            lines = (explain(item, None, tables) for item in found)
            raise SettingsError("; ".join(lines)) from error

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
