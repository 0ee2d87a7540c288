"""A launch as Xinference's clients ask for it, over REST and on the command line."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from codeserve.app.model_settings import ModelSettings
from codeserve.engines.errors import InvalidRequest, UnsupportedFeature
from codeserve.model_specs.spec import Hub, ModelFormat

PART = r"(?!\.{1,2}(?:/|$))[^\s/?#%\\\x00-\x1f\x7f]+"
ID = re.compile(rf"{PART}(?:/{PART})*")

RESERVED = frozenset(
    {
        "cancel",
        "instances",
        "logs",
        "pin",
        "progress",
        "restart",
        "unload",
        "unpin",
    }
)
"""Last parts of paths below ``/v1/models``; a model of such a name could not be asked for."""

MEANINGLESS: Mapping[str, Sequence[Any]] = {
    "enable_thinking": (False,),
    "enable_virtual_env": (False,),
    "enable_weight_cache": (False,),
    "engine_python": (),
    "envs": ({},),
    "n_worker": (1,),
    "peft_model_config": ({},),
    "reasoning_content": (False,),
    "replica_config": ([],),
    "request_limits": (),
    "trust_remote_code": (False, True),
    "virtual_env_find_links": ([],),
    "virtual_env_packages": ([],),
    "worker_ip": (),
}
"""What Xinference knows and this server cannot do, and the values, besides null, that ask for
nothing. No model here brings code of its own to trust, and none thinks aloud."""

FIELDS: Mapping[str, str] = {
    "engine": "model_engine",
    "family": "model_name",
    "id": "model_uid",
    "path": "model_path",
    "size_in_billions": "model_size_in_billions",
}
"""Fields of the settings that the request calls otherwise."""

Text = Annotated[str, StringConstraints(min_length=1)]
Count = Annotated[int, Field(ge=1, lt=2**31)]


class LaunchRequest(BaseModel):
    """A model to launch, in Xinference's words; null stands for every field's default, but for
    that of ``n_gpu``. Every other key is an option of the engine."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        strict=True,
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )

    model_uid: Text | None = None
    """The id that clients ask for; by default `model_name`, or the name of `model_path`."""
    model_name: Text | None = None
    """A family of the catalogue. With `model_path`: the family whose prompt format the weights
    have; null: read from the weights."""
    model_engine: Text | None = None
    """In any case, such as `vLLM`; null: the best installed one."""
    model_size_in_billions: (
        Text | Annotated[int, Field(gt=0)] | Annotated[float, Field(gt=0, allow_inf_nan=False)]
    ) | None = None
    """Such as `"1_3"`, `1.3` or `33`."""
    model_format: Text | None = None
    """`pytorch`, `ggufv2`, `gptq` or `awq`."""
    quantization: Text | None = None
    model_type: Literal["LLM"] | None = None
    replica: Count | None = None
    """Workers, each with the whole model."""
    n_gpu: NonNegativeInt | Literal["auto"] | None = "auto"
    """GPUs of each worker; 0 and null: compute on the CPU."""
    gpu_idx: NonNegativeInt | list[NonNegativeInt] | None = None
    """The GPUs that its workers may use."""
    model_path: Text | None = None
    """A GGUF file or a folder on the server's machine, instead of what a hub has. Size, format
    and quantisation then describe the weights."""
    download_hub: Annotated[Hub | None, Field(strict=False)] = None
    """The only hub to fetch from."""
    hub: Annotated[Hub | None, Field(strict=False)] = None
    """The same as `download_hub`."""
    load: Literal["start", "on_demand"] | None = None
    """Load at once, or when the first request comes."""
    idle_timeout: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None
    """Seconds without a request after which its memory is given back; null: the server's."""
    pinned: bool | None = None
    """Never unload it, neither when idle nor to make room."""
    context_length: Count | None = None
    """Tokens of one request, prompt and output together."""
    max_concurrency: Count | None = None
    """Requests decoded together."""

    @model_validator(mode="before")
    @classmethod
    def _drop_meaningless(cls, data: Any) -> Any:
        """Raises UnsupportedFeature for a field that would mislead if it were ignored."""
        if not isinstance(data, Mapping):
            return data
        for name in MEANINGLESS.keys() & data.keys():
            value = data[name]
            if value is not None and value not in MEANINGLESS[name]:
                raise UnsupportedFeature(
                    f"This server does not support the parameter '{name}'. Remove it from the "
                    "request.",
                    param=name,
                )
        kind = data.get("model_type")
        if isinstance(kind, str) and kind != "LLM":
            raise UnsupportedFeature(
                f"This server serves models of the type 'LLM', but model_type is {kind!r}.",
                param="model_type",
            )
        return {name: value for name, value in data.items() if name not in MEANINGLESS}

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.hub and self.download_hub and self.hub is not self.download_hub:
            raise InvalidRequest(
                f"hub is {str(self.hub)!r} and download_hub is {str(self.download_hub)!r}, but "
                "they mean the same. Give one of them.",
                param="download_hub",
            )
        if self.model_name is None and self.model_path is None:
            raise InvalidRequest(
                "Missing required parameter: 'model_name'.",
                param="model_name",
                code="missing_required_parameter",
            )
        if self.model_uid is not None:
            _check_id(self.model_uid)
        return self

    def settings(self) -> ModelSettings:
        """The model to launch. Raises InvalidRequest for fields that contradict each other."""
        common: dict[str, Any] = {
            "id": self.model_uid or self.model_name,
            "engine": self.model_engine,
            "replica": self.replica,
            "gpu_idx": [self.gpu_idx] if isinstance(self.gpu_idx, int) else self.gpu_idx,
            "hub": self.hub or self.download_hub,
            "load": self.load,
            "idle_timeout": self.idle_timeout,
            "pinned": self.pinned,
            "context_length": self.context_length,
            "max_concurrency": self.max_concurrency,
        }
        given = {name: value for name, value in common.items() if value is not None}
        weights = self._from_catalog() if self.model_path is None else self._from_path()
        try:
            return ModelSettings.model_validate(
                {**given, **weights, "n_gpu": self.n_gpu or 0, "options": self._options()}
            )
        except ValidationError as error:
            first = error.errors()[0]
            field = str(first["loc"][0]) if first["loc"] else None
            raise InvalidRequest(first["msg"], param=request_field(field)) from error

    def _from_catalog(self) -> dict[str, Any]:
        return {
            "model_name": self.model_name,
            "size_in_billions": _size(self.model_size_in_billions),
            "model_format": self.model_format,
            "quantization": self.quantization,
        }

    def _from_path(self) -> dict[str, Any]:
        """The weights themselves say what they are; of what describes them, only what they become
        while they are loaded goes further."""
        path = Path(self.model_path or "")
        is_file = path.suffix.lower() == ".gguf"
        formats = [ModelFormat.GGUF] if is_file else [f for f in ModelFormat if f != "ggufv2"]
        if self.model_format is not None and self.model_format not in formats:
            kind = "a GGUF file" if is_file else "a folder"
            raise InvalidRequest(
                f"The model_format of {kind} such as {str(path)!r} is {' or '.join(formats)}, but "
                f"{self.model_format!r} was given.",
                param="model_format",
            )
        is_plain = not is_file and self.model_format in (None, ModelFormat.PYTORCH)
        return {
            "path": path,
            "family": self.model_name,
            "quantization": self.quantization if is_plain else None,
        }

    def _options(self) -> dict[str, Any]:
        options = {
            name: value for name, value in (self.model_extra or {}).items() if value is not None
        }
        for name, value in options.items():
            try:
                msgspec.msgpack.encode(value)
            except (OverflowError, RecursionError) as error:
                raise InvalidRequest(
                    f"Invalid '{name}': it holds a number of more than 64 bits.", param=name
                ) from error
        return options


def _check_id(model_uid: str) -> None:
    """Refuse an id that no path could name."""
    if not ID.fullmatch(model_uid):
        raise InvalidRequest(
            f"Invalid 'model_uid': {model_uid!r} is no id. Write letters, digits and signs other "
            "than spaces, ?, #, % and backslashes; slashes only within, and no part of dots alone.",
            param="model_uid",
        )
    last = model_uid.rpartition("/")[2]
    if last in RESERVED:
        raise InvalidRequest(
            f"Invalid 'model_uid': an id must not end in {last!r}, which is an address of this "
            f"server's API. Neither in {', '.join(sorted(RESERVED - {last}))}.",
            param="model_uid",
        )


def _size(size: str | float | None) -> str | int | float | None:
    """Xinference's clients write the 33 of 33 billions as ``33.0``, too."""
    return int(size) if isinstance(size, float) and size.is_integer() else size


def request_field(name: str | None) -> str | None:
    """What the request calls the field ``name`` of the settings."""
    return FIELDS.get(name, name) if name else None
