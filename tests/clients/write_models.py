"""Writes the tiny model as the server and Transformers read it; runs in the server's environment.

.venv/bin/python -m tests.clients.write_models FOLDER
"""

import sys
from pathlib import Path

from tests.models.expand import WEIGHTS, write_gguf, write_hugging_face
from tests.models.vocabulary import Vocabulary


def main(folder: Path) -> None:
    """Write a GGUF file and a Hugging Face folder, both in float32."""
    vocabularies = Path(sys.prefix) / "share" / "codeserve-vocabularies"
    vocabulary = Vocabulary.read(vocabularies / "ggml-vocab-deepseek-coder.gguf")
    write_gguf(WEIGHTS, vocabulary, folder / "tiny-deepseek-coder.gguf")
    write_hugging_face(WEIGHTS, vocabulary, folder / "tiny-deepseek-coder")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
