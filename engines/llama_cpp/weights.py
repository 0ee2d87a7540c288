"""A GGUF file in llama.cpp's hands."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.llama_cpp.vocabulary import LlamaVocabulary

MAGIC = b"GGUF"


def check_file(path: Path) -> None:
    """Raise ModelLoadError unless ``path`` is a file that begins as GGUF."""
    if not path.exists():
        raise ModelLoadError(f"{path} does not exist.")
    if path.is_dir():
        raise ModelLoadError(f"{path} is a folder; the engine llama.cpp needs a GGUF file.")
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise ModelLoadError(f"{path} cannot be read: {error.strerror}.") from error
    if magic != MAGIC:
        raise ModelLoadError(f"{path} is not a GGUF file: it begins with {magic!r}.")


class Weights:
    """A loaded model, to be closed once."""

    def __init__(self, path: Path, params: Any, log: LlamaLog) -> None:
        """Load as ``params`` (``llama_model_params``) say. Raises ModelLoadError."""
        log.clear()
        self.pointer = llama_cpp.llama_model_load_from_file(bytes(path), params)
        if not self.pointer:
            cause = log.first_error or "llama.cpp gives no reason"
            raise ModelLoadError(f"{path} could not be loaded: {cause}")
        self.vocabulary = LlamaVocabulary(llama_cpp.llama_model_get_vocab(self.pointer))

    @classmethod
    def head_of(cls, path: Path, log: LlamaLog) -> "Weights":
        """Metadata and vocabulary only. Raises ModelLoadError."""
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        return cls(path, params, log)

    @classmethod
    def load(
        cls,
        path: Path,
        options: LlamaCppOptions,
        overrides: Any,
        progress: Callable[[float], None],
        log: LlamaLog,
    ) -> "Weights":
        """Everything. Raises ModelLoadError.

        ``overrides``: a ``llama_model_kv_override`` array. ``progress`` gets a fraction.
        """

        def report(fraction: float, _user_data: object) -> bool:
            progress(fraction)
            return True

        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = options.n_gpu_layers
        params.main_gpu = options.main_gpu
        params.split_mode = getattr(llama_cpp, f"LLAMA_SPLIT_MODE_{options.split_mode.upper()}")
        if options.tensor_split:
            shares = ctypes.c_float * llama_cpp.llama_max_devices()
            params.tensor_split = shares(*options.tensor_split)
        params.load_mode = _load_mode(options)
        if options.repack is not None:
            params.use_extra_bufts = options.repack
        params.kv_overrides = overrides
        params.progress_callback = llama_cpp.llama_progress_callback(report)
        return cls(path, params, log)

    def close(self) -> None:
        """Free the memory."""
        pointer, self.pointer = self.pointer, None
        if pointer is not None:
            self.vocabulary.close()
            llama_cpp.llama_model_free(pointer)

    def metadata(self, key: str) -> str | None:
        """A scalar of the file's metadata as text; None where it is missing."""
        key_bytes = key.encode()
        probe = ctypes.create_string_buffer(1)
        length = llama_cpp.llama_model_meta_val_str(self.pointer, key_bytes, probe, 1)
        if length < 0:
            return None
        buffer = ctypes.create_string_buffer(length + 1)
        llama_cpp.llama_model_meta_val_str(self.pointer, key_bytes, buffer, length + 1)
        return buffer.value.decode(errors="replace")

    @property
    def name(self) -> str | None:
        """What the file calls the model."""
        return self.metadata("general.name")

    @property
    def chat_template(self) -> str | None:
        """The Jinja source of the file's own chat template."""
        return self.metadata("tokenizer.chat_template")

    @property
    def trained_context_length(self) -> int:
        """Tokens that the model was trained for; 0 if the file does not say."""
        architecture = self.metadata("general.architecture")
        return int(self.metadata(f"{architecture}.context_length") or 0)

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        count: int = llama_cpp.llama_model_n_params(self.pointer)
        return count

    @property
    def can_share(self) -> bool:
        """Whether a token's cells depend on nothing but the tokens before it, so that sequences
        can share and trim them; a recurrent state or a sliding window cannot be cut."""
        return not (
            llama_cpp.llama_model_is_recurrent(self.pointer)
            or llama_cpp.llama_model_is_hybrid(self.pointer)
            or llama_cpp.llama_model_n_swa(self.pointer)
        )

    @property
    def bytes(self) -> int:
        """Size of the tensors."""
        size: int = llama_cpp.llama_model_size(self.pointer)
        return size

    def device(self, options: LlamaCppOptions) -> str:
        """Where the layers are, such as ``cpu`` or ``gpu (24 of 25 layers)``."""
        layers = llama_cpp.llama_model_n_layer(self.pointer) + 1
        asked = options.n_gpu_layers or 0
        offloaded = layers if asked < 0 else min(asked, layers)
        return f"gpu ({offloaded} of {layers} layers)" if offloaded else "cpu"


def _load_mode(options: LlamaCppOptions) -> int:
    if options.use_mlock:
        mode = "MLOCK" if options.use_mmap is False else "MMAP_MLOCK"
    else:
        mode = {None: "AUTO", True: "MMAP", False: "NONE"}[options.use_mmap]
    number: int = getattr(llama_cpp, f"LLAMA_LOAD_MODE_{mode}")
    return number
