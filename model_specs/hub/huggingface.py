"""Weights from the Hugging Face hub, by its own client and in its own cache.

The client's environment variables hold: ``HF_HOME``, ``HF_TOKEN``, ``HF_ENDPOINT``,
``HF_HUB_OFFLINE``. It resumes broken downloads and checks sizes.
"""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.spec import Source

Progress = Callable[[int, int | None], None]

TEXT_FILES = ["*.json", "*.jinja", "*.model", "*.txt"]
"""Configuration, tokenizer and chat template."""


def pull(source: Source, quantization: str, progress: Progress) -> Path:
    """The source's file, or its folder where it names none; blocks while it is downloaded.

    A pinned revision that is in the cache needs no network.

    Raises:
        PullError: not found, no access, no connection, no space.
    """
    from huggingface_hub import hf_hub_download

    name = source.file and source.file.format(quantization=quantization)
    bar = _bar(progress)
    try:
        if name is None:
            return _pull_folder(source, bar)
        return Path(
            hf_hub_download(source.model_id, name, revision=source.revision, tqdm_class=bar)
        )
    except Exception as error:
        raise PullError(_explain(error, source, name)) from error


def _pull_folder(source: Source, bar: type[Any]) -> Path:
    """Safetensors where the repository has them, else PyTorch's own files; never both."""
    from huggingface_hub import snapshot_download

    for weights in ("*.safetensors", "pytorch_model*.bin"):
        folder = Path(
            snapshot_download(
                source.model_id,
                revision=source.revision,
                allow_patterns=[*TEXT_FILES, weights],
                tqdm_class=bar,
            )
        )
        if any(folder.glob(weights)):
            return folder
    raise PullError("The repository holds no weights: no .safetensors and no pytorch_model.bin.")


def _bar(progress: Progress) -> type[Any]:
    """A class of silent progress bars that report to ``progress``.

    The client may count the same bytes twice, as received and as written, in a bar each: the bar
    that is farthest is reported.
    """
    from huggingface_hub.utils.tqdm import tqdm

    farthest = 0

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts_bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            nonlocal farthest
            self.n += n or 0
            if self._counts_bytes and self.n >= farthest:
                farthest = self.n
                progress(int(self.n), int(self.total) if self.total else None)

    return Bar


def _explain(error: Exception, source: Source, name: str | None) -> str:
    from huggingface_hub import errors

    place = source.model_id + (f" at revision {source.revision}" if source.revision else "")
    match error:
        case PullError():
            return str(error)
        case errors.GatedRepoError():
            return (
                f"{source.model_id} is gated: accept its terms on the hub, then set HF_TOKEN to a "
                "token of that account."
            )
        case errors.RepositoryNotFoundError():
            return f"There is no repository {source.model_id}, or it is private: set HF_TOKEN."
        case errors.RevisionNotFoundError():
            return f"{source.model_id} has no revision {source.revision}."
        case errors.LocalEntryNotFoundError() | errors.OfflineModeIsEnabled():
            return (
                f"{place} is not in the cache and the hub cannot be reached. Check the network, "
                "HF_ENDPOINT and HF_HUB_OFFLINE, or serve a local file with `path`."
            )
        case errors.EntryNotFoundError():
            return f"{place} has no file {name}."
        case OSError() if error.errno == errno.ENOSPC:
            return "The disk is full: free some space, or set HF_HOME to a folder on another disk."
        case _:
            return f"{place}: {type(error).__name__}: {error}"
