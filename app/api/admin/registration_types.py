"""Families that can be launched: requests and replies."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from codeserve.app.api.admin.engines import size_of
from codeserve.model_specs.spec import ModelFamily, ModelSpec


class Registration(BaseModel):
    """POST /v1/model_registrations/{type}."""

    model_config = ConfigDict(strict=True, protected_namespaces=(), use_attribute_docstrings=True)

    model: Annotated[str, Field(min_length=1)]
    """The text of a family file (TOML), or the same as JSON."""
    persist: bool | None = None
    """Only true: a family is kept until it is unregistered."""
    worker_ip: str | None = None
    """Only null: there is one machine."""


class RegisteredName(BaseModel):
    """A family by its name."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    is_builtin: bool


class RegisteredSpec(BaseModel):
    """One form of a family."""

    model_config = ConfigDict(protected_namespaces=())

    model_format: str
    model_size_in_billions: int | str
    quantizations: list[str]
    default_quantization: str | None
    model_id: str
    """Repository on the first hub that has it."""
    model_hub: str
    model_revision: str | None

    @classmethod
    def of(cls, spec: ModelSpec) -> "RegisteredSpec":
        """``spec`` for clients."""
        first = spec.sources[0]
        return cls(
            model_format=spec.model_format,
            model_size_in_billions=size_of(spec),
            quantizations=list(spec.quantizations),
            default_quantization=spec.default_quantization,
            model_id=first.model_id,
            model_hub=first.hub,
            model_revision=first.revision,
        )


class RegisteredFamily(RegisteredName):
    """A family with its specs."""

    model_description: str
    model_lang: list[str]
    model_ability: list[str]
    context_length: int
    """The largest of its variants."""
    model_specs: list[RegisteredSpec]

    @classmethod
    def of(cls, family: ModelFamily, *, is_builtin: bool) -> "RegisteredFamily":
        """``family`` for clients."""
        return cls(
            model_name=family.model_name,
            is_builtin=is_builtin,
            model_description=family.description,
            model_lang=list(family.languages),
            model_ability=list(family.abilities),
            context_length=max(variant.context_length for variant in family.variants),
            model_specs=[RegisteredSpec.of(spec) for spec in family.specs],
        )
