"""What the layers of a loaded model are like, seen from inside their attention."""

from dataclasses import dataclass
from typing import Any

import torch

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.transformers.attention import Call

FOREIGN = ("attention_mask", "sliding_window", "softcap", "s_aux", "position_bias")
"""Settings of attention that the engine's own does not have."""


@dataclass(frozen=True, slots=True)
class LayerShape:
    """Keys and values of one token in one layer."""

    kv_heads: int
    key_size: int
    value_size: int
    device: Any
    dtype: Any

    @property
    def numbers(self) -> int:
        """How many there are."""
        return self.kv_heads * (self.key_size + self.value_size)


class Probe:
    """Attends to nothing and takes note of every layer."""

    def __init__(self) -> None:
        self._layers: dict[int, LayerShape] = {}

    def attend(self, call: Call) -> Any:
        """Zeros. Raises ModelLoadError for attention of another kind than the engine's."""
        foreign = [name for name in FOREIGN if call.settings.get(name) is not None]
        if not getattr(call.module, "is_causal", True):
            foreign.append("bidirectional attention")
        if foreign or call.layer in self._layers:
            raise ModelLoadError(
                f"{type(call.module).__name__} attends in a way that the transformers engine does "
                f"not support: {', '.join(foreign) or 'layers share their keys and values'}."
            )
        _, kv_heads, tokens, key_size = call.key.shape
        value = call.value
        self._layers[call.layer] = LayerShape(
            kv_heads, key_size, value.shape[-1], value.device, value.dtype
        )
        return value.new_zeros(1, tokens, call.query.shape[1], value.shape[-1])

    def layers(self, expected: int) -> list[LayerShape]:
        """One for each of the ``expected`` layers. Raises ModelLoadError if some never attended."""
        if sorted(self._layers) != list(range(expected)):
            raise ModelLoadError(
                f"The model has {expected} layers, but {len(self._layers)} of them attend to all "
                "earlier tokens. The transformers engine serves decoder-only models of full "
                "attention alone."
            )
        return [self._layers[index] for index in range(expected)]


def layers_of(model: Any) -> list[LayerShape]:
    """What each layer of ``model`` keeps of a token. Raises ModelLoadError."""
    probe = Probe()
    device = model.get_input_embeddings().weight.device
    ids = torch.zeros((1, 2), dtype=torch.long, device=device)
    positions = torch.arange(2, device=device)[None]
    with torch.inference_mode():
        model(input_ids=ids, position_ids=positions, use_cache=False, attention=probe)
    return probe.layers(model.config.num_hidden_layers)
