"""Loads a Hugging Face folder as a model whose attention is the engine's own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from logging import ERROR, getLogger
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig
from transformers.utils import logging

from codeserve.engines.base import Progress
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.hugging_face.folder import Folder
from codeserve.engines.transformers import attention
from codeserve.engines.transformers.devices import Placement
from codeserve.engines.types import LoadQuantization

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "bitsandbytes": ("bitsandbytes", "accelerate"),
    "gptq": ("gptqmodel", "optimum", "accelerate"),
    "awq": ("gptqmodel", "accelerate"),
}
"""What each kind of quantised weights needs."""

CHANGING_ROTATIONS = ("dynamic", "longrope")
"""Kinds of rotary positions that turn earlier tokens otherwise once a text has grown, so that their
keys cannot be kept or shared."""


def load(
    folder: Folder,
    quantization: LoadQuantization | None,
    dtype: Any,
    placement: Placement,
    progress: Progress,
) -> Any:
    """The model, ready to compute.

    Raises:
        ModelLoadError: it is of a kind that the engine does not support, a package is missing, or
            the weights are damaged or do not fit into memory.
    """
    check_quantization(folder, quantization, placement)
    attention.register()
    # Its 8-bit layers warn of the same cast in every step.
    getLogger("bitsandbytes.autograd._functions").setLevel(ERROR)
    # Bandit wants revisions of what a hub has; this is a folder on this machine.
    with _as_load_errors(folder, dtype):
        config = AutoConfig.from_pretrained(  # nosec B615
            folder.path, local_files_only=True, trust_remote_code=False
        )
        check_architecture(config)
        with _reported(progress):
            model, problems = AutoModelForCausalLM.from_pretrained(  # nosec B615
                folder.path,
                config=config,
                dtype=dtype,
                device_map=placement,
                attn_implementation=attention.NAME,
                quantization_config=_quantization_config(quantization, dtype),
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    _check_complete(folder, problems)
    if isinstance(placement, str):
        _check_placement(model)
    return model.eval()


def check_quantization(
    folder: Folder, quantization: LoadQuantization | None, placement: Placement
) -> None:
    """Raises ModelLoadError for weights that cannot be had so, or not here."""
    stored = None if folder.quantization is None else folder.quantization.method
    if stored is not None and quantization is not None:
        raise ModelLoadError(
            f"quantization is {quantization.value!r}, but {folder.path} is quantised already, by "
            f"{stored}. Leave quantization out."
        )
    method = stored if quantization is None else "bitsandbytes"
    if method is None:
        return
    if method not in PACKAGES:
        raise ModelLoadError(
            f"{folder.path} is quantised by {method}, which the transformers engine does not "
            f"support; it supports {', '.join(PACKAGES)}."
        )
    missing = [name for name in PACKAGES[method] if find_spec(name) is None]
    if missing:
        raise ModelLoadError(
            f"Weights quantised by {method} need the Python package {missing[0]!r}, which is not "
            "installed in this engine's environment. Install it with: codeserve engines install "
            "transformers"
        )
    if placement == {"": "mps"}:
        raise ModelLoadError(f"Weights quantised by {method} run on a CPU or a CUDA GPU, not mps.")


def check_architecture(config: Any) -> None:
    """Raises ModelLoadError for a model whose tokens attend otherwise than to all before them, as
    far as its configuration tells."""
    kinds = set(getattr(config, "layer_types", None) or ())
    other = sorted(kinds - {"full_attention"})
    if not other and not kinds and _slides(config):
        other = ["sliding_attention"]
    if other:
        raise ModelLoadError(
            f"Models of the type {config.model_type!r} have layers of {', '.join(other)}; the "
            "transformers engine serves decoder-only models of full attention alone."
        )
    rotation = getattr(config, "rope_parameters", None) or {}
    kind = rotation.get("rope_type")
    if kind in CHANGING_ROTATIONS:
        raise ModelLoadError(
            f"The model's rotary positions are of the kind {kind!r}, which change as a text grows; "
            "the transformers engine does not support that."
        )


def _slides(config: Any) -> bool:
    switch = getattr(config, "use_sliding_window", True)
    return bool(switch and getattr(config, "sliding_window", None))


def _quantization_config(quantization: LoadQuantization | None, dtype: Any) -> Any:
    match quantization:
        case LoadQuantization.FOUR_BIT:
            return BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
            )
        case LoadQuantization.EIGHT_BIT:
            return BitsAndBytesConfig(load_in_8bit=True)
    return None


def _check_complete(folder: Folder, problems: Mapping[str, Any]) -> None:
    """Raises ModelLoadError if weights are missing; the library would make them up."""
    for kind in ("missing_keys", "mismatched_keys"):
        names = sorted(map(str, problems.get(kind, ())))
        if names:
            raise ModelLoadError(
                f"The weights in {folder.path} do not fit the model: {len(names)} tensors are "
                f"{kind.removesuffix('_keys')}, such as {names[0]}."
            )


def _check_placement(model: Any) -> None:
    """Raises ModelLoadError if parts of a model that was to be on GPUs did not fit there."""
    if {"cpu", "disk"} & set(map(str, model.hf_device_map.values())):
        raise ModelLoadError(
            "The model does not fit into the memory of the GPUs together. Use quantization "
            '"8-bit" or "4-bit", or a smaller model.'
        )


@contextmanager
def _as_load_errors(folder: Folder, dtype: Any) -> Iterator[None]:
    """Turns what the libraries raise into ModelLoadError."""
    try:
        yield
    except ModelLoadError:
        raise
    except (torch.OutOfMemoryError, MemoryError) as error:
        size = folder.weights_bytes / 1024**3
        raise ModelLoadError(
            f"There is not enough memory for the weights, {size:.1f} GiB on disk, as {dtype}: "
            f'{_first_line(error)} Use quantization "8-bit" or "4-bit", or a smaller model.'
        ) from error
    except (ValueError, KeyError, OSError, RuntimeError, ImportError, TypeError) as error:
        raise ModelLoadError(
            f"Transformers cannot load {folder.path}: {_first_line(error)}"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


@contextmanager
def _reported(progress: Progress) -> Iterator[None]:
    """Reports the library's own progress through the weights."""

    def hook(make: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args and kwargs.get("desc") == "Loading weights":
            return _counted(list(args[0]), progress)
        return make(*args, **kwargs)

    previous = logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        logging.set_tqdm_hook(previous)


def _counted(items: list[Any], progress: Progress) -> Iterator[Any]:
    for done, item in enumerate(items, 1):
        yield item
        progress("weights", done / len(items))
