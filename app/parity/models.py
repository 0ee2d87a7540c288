"""Which models are compared, as the command line names them."""

import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from codeserve.app.model_settings import ModelSettings
from codeserve.app.setting_problems import SettingsError
from codeserve.app.settings import Settings

ENGINE = re.compile(r"([a-z][a-z0-9._-]*)=(.+)", re.DOTALL)


class Candidate(msgspec.Struct, frozen=True):
    """A model under the name that the report gives it."""

    name: str
    settings: ModelSettings


def candidates(references: Sequence[str]) -> tuple[Candidate, ...]:
    """The models that ``[ENGINE=]REFERENCE`` mean, where a reference is what ``serve --model``
    takes. Raises SettingsError."""
    return _named(references, [_settings(reference) for reference in references])


def configured(settings: Settings, ids: Sequence[str]) -> tuple[Candidate, ...]:
    """The models of ``settings`` called ``ids``; none: all of them. Raises SettingsError."""
    models = {model.id: model for model in settings.models}
    for model_id in ids:
        if model_id not in models:
            raise SettingsError(
                f"the config file has no model {model_id!r}; its models are {', '.join(models)}"
            )
    names = list(ids or models)
    return _named(names, [models[name] for name in names])


def _settings(reference: str) -> ModelSettings:
    match = ENGINE.fullmatch(reference)
    if match is None:
        return ModelSettings.from_reference(reference)
    engine, rest = match.groups()
    return ModelSettings.from_reference(rest).model_copy(update={"engine": engine})


def _named(names: Sequence[str], models: Sequence[ModelSettings]) -> tuple[Candidate, ...]:
    """``models`` by ``names``; one that comes again is numbered."""
    seen: Counter[str] = Counter()
    found = []
    for name, model in zip(names, models, strict=True):
        seen[name] += 1
        found.append(Candidate(name if seen[name] == 1 else f"{name} ({seen[name]})", model))
    return tuple(found)
