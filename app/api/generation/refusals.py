"""Fields that a route refuses, as to ignore them would mislead."""

from collections.abc import Mapping, Sequence
from typing import Any

from codeserve.engines.errors import UnsupportedFeature

Refused = Mapping[str, tuple[Sequence[Any], str]]
"""Field to the values that ask for nothing, besides null, and to a sentence that helps."""


def refuse(fields: Mapping[str, Any], refused: Refused, route: str) -> None:
    """Raise UnsupportedFeature for the first of ``fields`` that ``route`` has ``refused``."""
    for name, value in fields.items():
        neutral, help_text = refused.get(name, ((value,), ""))
        if value is not None and value not in neutral:
            raise UnsupportedFeature(
                f"POST {route} does not support this value of '{name}'. {help_text}"
                if neutral
                else f"POST {route} does not support '{name}'. {help_text}",
                param=name,
            )
