"""The weights of a spec, from the first of its sources that has them."""

from collections.abc import Callable
from pathlib import Path

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub import huggingface, package
from codeserve.model_specs.spec import Hub, ModelSpec, Source


def fetch(spec: ModelSpec, quantization: str, progress: Callable[[int, int | None], None]) -> Path:
    """A GGUF file or a Hugging Face folder on this machine; blocks while it is downloaded.

    ``progress`` is called with bytes done and bytes in total, if known, from any thread.

    Raises:
        PullError: no source has it; the message says of each source why.
    """
    reasons = []
    for source in spec.sources:
        try:
            return _fetch(source, quantization, progress)
        except PullError as error:
            reasons.append(f"{source.hub} {source.model_id}: {error}")
    raise PullError("The weights could not be fetched. " + " ".join(reasons))


def _fetch(source: Source, quantization: str, progress: Callable[[int, int | None], None]) -> Path:
    match source.hub:
        case Hub.PACKAGE:
            return package.locate(source)
        case Hub.HUGGINGFACE:
            return huggingface.pull(source, quantization, progress)
        case Hub.MODELSCOPE:
            raise PullError("Pulling from ModelScope is not supported yet.")
