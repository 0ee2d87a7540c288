"""What a folder's weights hold, in the words of an engine's errors."""

from pathlib import Path

from codeserve.engines.errors import ModelLoadError
from codeserve.model_specs import safetensors_header
from codeserve.model_specs.errors import WeightsError
from codeserve.model_specs.safetensors_header import Tensor


def read_tensors(folder: Path) -> tuple[Tensor, ...]:
    """Every tensor of the folder's safetensors files; none if PyTorch's own files hold them.

    Raises ModelLoadError if there are no weights, a file of theirs is missing or cut short.
    """
    try:
        return safetensors_header.read_tensors(folder)
    except WeightsError as error:
        raise ModelLoadError(str(error)) from error
