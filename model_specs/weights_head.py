"""What is known of a model's weights without loading them."""

from pathlib import Path
from typing import Any, Self

import msgspec

from codeserve.model_specs.errors import WeightsError
from codeserve.model_specs.gguf_header import read_gguf
from codeserve.model_specs.network import Network
from codeserve.model_specs.safetensors_header import pickled_bytes, read_tensors
from codeserve.model_specs.spec import ModelFamily, ModelFormat, ModelSpec

PUBLISHED_DTYPE = "bfloat16"
"""Of the numbers of every full checkpoint in the catalogue."""
HALF_BYTES = 2
INT4_BITS = 4 + 16 / 128 + 4 / 128
"""Of a weight in the published GPTQ and AWQ files, whose groups of 128 share a scale and a zero."""


class WeightsHead(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes and number types, read from files or told by the catalogue."""

    bytes: int
    """As they are stored."""
    network: Network | None
    """None: the files describe a network of another kind."""
    dtype: str | None = None
    """The number type that a folder's configuration names; None: a GGUF file, or not said."""
    method: str | None = None
    """How the stored weights are quantised, such as ``gptq``; None: they are not, or it is GGUF."""
    exact: bool = True
    """False: estimated from the number of parameters, good to about a tenth."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Of a GGUF file or a Hugging Face folder. Raises WeightsError."""
        if path.is_dir():
            return cls._of_folder(path)
        header = read_gguf(path)
        return cls(bytes=header.file_bytes, network=Network.of_gguf(header))

    @classmethod
    def of_spec(cls, family: ModelFamily, spec: ModelSpec, quantization: str) -> Self | None:
        """Of a catalogue's entry; None if its shape is not known."""
        shape = family.shapes.get(spec.size_in_billions)
        variant = family.variant(spec.variant)
        if shape is None or variant.vocab_rows is None:
            return None
        network = Network.of_shape(shape, variant.vocab_rows, variant.context_length)
        if spec.model_format is ModelFormat.GGUF:
            size = family.file_size(spec, quantization)
            if size is None:
                return None
            return cls(bytes=round(size.gigabytes * 1e9), network=network, exact=size.exact)
        if spec.model_format is ModelFormat.PYTORCH:
            full = HALF_BYTES * network.parameters
            return cls(bytes=full, network=network, dtype=PUBLISHED_DTYPE)
        rest = HALF_BYTES * (network.parameters - network.linear_parameters)
        packed = round(network.linear_parameters * INT4_BITS / 8)
        return cls(
            bytes=rest + packed,
            network=network,
            dtype="float16",
            method=str(spec.model_format),
            exact=False,
        )

    @classmethod
    def _of_folder(cls, folder: Path) -> Self:
        config = _config(folder)
        named = config.get("dtype") or config.get("torch_dtype")
        settings = config.get("quantization_config")
        method = settings.get("quant_method") if isinstance(settings, dict) else None
        stored = sum(tensor.bytes for tensor in read_tensors(folder)) or pickled_bytes(folder)
        return cls(
            bytes=stored,
            network=Network.of_config(config),
            dtype=named if isinstance(named, str) else None,
            method=str(method).lower() if method else None,
        )


def _config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise WeightsError(f"{file} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{file} is not a JSON object: {error}.") from error
