"""The attention function that Transformers' models call in every layer.

``model(..., attention=step)`` hands ``step`` through to it, which does the work: a ``Step`` of the
engine, or a ``Probe`` that looks at what the model's layers are like.
"""

from typing import Any, Protocol

from transformers import AttentionInterface

NAME = "codeserve"
"""Under which Transformers knows the function."""


class Layers(Protocol):
    """What attends in every layer of one forward pass."""

    def attend(self, call: "Call") -> Any:
        """The result, by batch, token, head and size, of attention in one layer."""


class Call:
    """What one layer asks of its attention."""

    def __init__(self, module: Any, tensors: tuple[Any, Any, Any], settings: dict[str, Any]):
        """``tensors``: query, key and value, by batch, head, token and size."""
        self.module = module
        self.query, self.key, self.value = tensors
        self.scaling: float | None = settings.pop("scaling", None)
        self.settings = settings
        """Everything else that the layer said."""

    @property
    def layer(self) -> int:
        """Which layer it is, from 0."""
        index: int = self.module.layer_idx
        return index


def register() -> None:
    """Make the function known to Transformers."""
    AttentionInterface.register(NAME, _attend)


def _attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    attention: Layers,
    **settings: Any,
) -> tuple[Any, None]:
    settings["attention_mask"] = attention_mask
    return attention.attend(Call(module, (query, key, value), settings)), None
