"""Where a model goes, and what its numbers are."""

from collections.abc import Mapping
from typing import Any

import torch

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.footprint.transformers import FLOAT16_ONLY, STORED
from codeserve.engines.hugging_face.folder import Folder
from codeserve.engines.transformers.options import TransformersOptions

Placement = str | Mapping[str, int | str]
"""What Transformers calls ``device_map``."""


def choose_placement(options: TransformersOptions) -> Placement:
    """Where the layers go. Raises ModelLoadError for a device that is not here."""
    if options.device_map is None:
        return {"": choose_device(options.device)}
    if isinstance(options.device_map, str):
        if torch.cuda.device_count() < 1:
            raise ModelLoadError(
                f"device_map is {options.device_map!r}, but PyTorch finds no GPU here. "
                + _install_hint()
            )
        return options.device_map
    for device in options.device_map.values():
        choose_device(f"cuda:{device}" if isinstance(device, int) else device)
    return options.device_map


def choose_device(asked: str) -> str:
    """``cpu``, ``mps`` or ``cuda:N``. Raises ModelLoadError for a device that is not here."""
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    kind, _, number = asked.partition(":")
    if kind == "cpu" or (kind == "mps" and _has_mps()):
        return asked
    count = torch.cuda.device_count() if kind == "cuda" else 0
    index = int(number or 0)
    if index >= count:
        found = f"only cuda:0 to cuda:{count - 1}" if count else "no such device"
        raise ModelLoadError(
            f"device is {asked!r}, but PyTorch {torch.__version__} finds {found} here. "
            + _install_hint()
        )
    return f"cuda:{index}"


def choose_dtype(options: TransformersOptions, folder: Folder, placement: Placement) -> Any:
    """The ``torch.dtype`` to compute in. Raises ModelLoadError for one that weights rule out."""
    method = None if folder.quantization is None else folder.quantization.method
    if method in FLOAT16_ONLY:
        if options.dtype not in ("auto", "float16"):
            raise ModelLoadError(
                f"dtype is {options.dtype!r}, but {method.upper()} checkpoints are computed in "
                "float16. Leave dtype out."
            )
        return torch.float16
    if options.dtype != "auto":
        return getattr(torch, options.dtype)
    stored = getattr(torch, folder.dtype) if folder.dtype in STORED else torch.float32
    if placement != {"": "cpu"}:
        return stored
    native = stored == torch.bfloat16 and computes_in_bfloat16()
    return torch.bfloat16 if native else torch.float32


def computes_in_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def describe(devices: list[Any]) -> str:
    """The devices of a model's layers in a few words, such as ``cpu`` or ``cuda:0 (NVIDIA L4)``."""
    names = []
    for device in dict.fromkeys(devices):
        is_cuda = device.type == "cuda"
        name = f" ({torch.cuda.get_device_name(device)})" if is_cuda else ""
        share = f", {devices.count(device)} layers" if len(set(devices)) > 1 else ""
        names.append(f"{device}{name}{share}")
    return "; ".join(names)


def _has_mps() -> bool:
    return bool(torch.backends.mps.is_available())


def _install_hint() -> str:
    if torch.version.cuda is None:
        return (
            f"This PyTorch, {torch.__version__}, is built without CUDA: use one with it, or leave "
            "the option out to run on the CPU."
        )
    return "Check the driver by nvidia-smi, or leave the option out to run on the CPU."
