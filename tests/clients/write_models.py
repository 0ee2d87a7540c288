"""Writes the tiny model as the server and Transformers read it, and records it as if it had been
pulled for a spec of the catalogue; runs in the server's environment.

.venv/bin/python -m tests.clients.write_models FOLDER
"""

import sys
import time
from pathlib import Path

from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.hub.artifact import artifacts
from codeserve.model_specs.hub.location import default_store
from codeserve.model_specs.hub.store import Store
from codeserve.model_specs.hub.stored import Stored, inspect
from tests.models.expand import WEIGHTS, write_gguf, write_hugging_face
from tests.models.vocabulary import Vocabulary


def main(folder: Path) -> None:
    """Write a GGUF file and a Hugging Face folder, both in float32."""
    vocabularies = Path(sys.prefix) / "share" / "codeserve-vocabularies"
    vocabulary = Vocabulary.read(vocabularies / "ggml-vocab-deepseek-coder.gguf")
    write_gguf(WEIGHTS, vocabulary, folder / "tiny-deepseek-coder.gguf")
    write_hugging_face(WEIGHTS, vocabulary, folder / "tiny-deepseek-coder")
    record(folder, "tiny-deepseek-coder.gguf")


def record(folder: Path, name: str) -> None:
    """Have the store take a file for that of DeepSeek Coder 1.3B in Q2_K."""
    chosen = Catalog.load().select("deepseek-coder", size_in_billions="1_3", quantization="Q2_K")
    (artifact,) = artifacts(chosen.spec, chosen.quantization)
    Store(default_store()).add(
        Stored(
            artifact=artifact,
            commit=None,
            path=folder / name,
            root=folder,
            files=(inspect(folder, name),),
            pulled_at=time.time(),
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
