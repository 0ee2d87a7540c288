"""Which weights a launched model has, in Xinference's words."""

from contextlib import suppress
from typing import Literal

import msgspec

from codeserve.app.manager.resolution import select
from codeserve.app.manager.status import ModelStatus
from codeserve.app.model_settings import ModelSettings
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.errors import UnknownSpec
from codeserve.model_specs.spec import ModelFamily, ModelFormat, ModelSpec

Ability = Literal["generate", "chat"]

SPELLINGS = {"vllm": "vLLM", "transformers": "Transformers"}
"""Engines that Xinference writes otherwise than this server."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model's weights without loading them; what is not is None or empty."""

    model_name: str | None = None
    model_format: str | None = None
    size_in_billions: str | None = None
    quantization: str | None = None
    description: str = ""
    languages: tuple[str, ...] = ()
    ability: Ability = "generate"
    """What Xinference's clients choose their handle by; what can chat can be completed, too."""

    @classmethod
    def of_spec(cls, family: ModelFamily, spec: ModelSpec, quantization: str) -> "Origin":
        """A spec of the catalogue."""
        return cls(
            model_name=family.model_name,
            model_format=spec.model_format,
            size_in_billions=spec.size_in_billions,
            quantization=quantization,
            description=family.description,
            languages=family.languages,
            ability=_ability(family),
        )

    @property
    def size(self) -> int | str | None:
        """The size in billions as Xinference writes it: ``33`` and ``"1_3"``."""
        size = self.size_in_billions
        return int(size) if size is not None and size.isdecimal() else size

    @property
    def version(self) -> str | None:
        """The name of these weights in the cache, as Xinference makes it; None: they are not of
        the catalogue."""
        if self.size_in_billions is None:
            return None
        size = f"{self.size_in_billions}B"
        return f"{self.model_name}--{size}--{self.model_format}--{self.quantization}"


def origin_of(status: ModelStatus, catalog: Catalog) -> Origin:
    """Where the weights of a launched model come from."""
    settings = ModelSettings.model_validate(status.spec)
    with suppress(UnknownSpec):
        if settings.model_name is not None:
            selection = select(settings, settings.model_name, catalog)
            return Origin.of_spec(selection.family, selection.spec, selection.quantization)
    is_file = settings.path is not None and settings.path.suffix.lower() == ".gguf"
    family = settings.model_name or settings.family
    if family is None and status.info is not None:
        family = status.info.variant.family
    found = {known.model_name: known for known in catalog.families}.get(family or "")
    return Origin(
        model_name=family,
        model_format=ModelFormat.GGUF if is_file else None,
        quantization=settings.quantization,
        description=found.description if found else "",
        languages=found.languages if found else (),
        ability=_ability(found) if found else "generate",
    )


def spelling(engine: str) -> str:
    """The engine's name as Xinference writes it."""
    return SPELLINGS.get(engine, engine)


def _ability(family: ModelFamily) -> Ability:
    return "chat" if "chat" in family.abilities else "generate"
