"""The whole configuration, from the config file, the environment and the command line."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from codeserve.app.model_settings import EMBEDDED_MODEL, ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.app.setting_problems import SettingsError, Tables, explain


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

    @model_validator(mode="after")
    def _room_for_a_body(self) -> Self:
        server = self.server
        if server.max_buffered_bytes < server.max_body_bytes:
            raise PydanticCustomError(
                "no_room_for_a_body",
                "[server]: max_buffered_bytes ({all}) is less than max_body_bytes ({one}), so that "
                "no body of that size could ever be read; raise it, or lower max_body_bytes",
                {"all": int(server.max_buffered_bytes), "one": server.max_body_bytes},
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
