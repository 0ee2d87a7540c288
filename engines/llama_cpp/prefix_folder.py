"""Where the prefixes of one model are kept on disk."""

import hashlib
from pathlib import Path

import llama_cpp

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.types import EngineConfig


def prefix_folder(root: str, config: EngineConfig, options: LlamaCppOptions) -> Path:
    """A folder below ``root`` for this file, this llama.cpp and these types of keys and values:
    what one of them has computed makes no sense to another. Raises ModelLoadError."""
    path = Path(config.path)
    status = path.stat()
    subject = (
        path.name,
        status.st_size,
        status.st_mtime_ns,
        llama_cpp.__version__,
        options.type_k,
        options.type_v,
        options.flash_attn,
    )
    name = hashlib.blake2b(repr(subject).encode(), digest_size=8).hexdigest()
    folder = Path(root).expanduser() / f"{path.stem}-{name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelLoadError(f"cache_disk: {folder} cannot be used: {error.strerror}.") from error
    return folder
