"""Takes the real DeepSeek vocabularies and their test vectors out of llama-cpp-python's source
distribution, which set-up has fetched to build it:

    python tests/vocabularies.py requirements/llama-cpp.txt FOLDER
"""

import sys
import tarfile
from pathlib import Path

from codeserve.engines.llama_cpp.build import source_archive

NAMES = tuple(
    f"ggml-vocab-{vocabulary}.gguf{suffix}"
    for vocabulary in ("deepseek-coder", "deepseek-llm")
    for suffix in ("", ".inp", ".out")
)


def extract(requirements: Path, folder: Path) -> None:
    """Write the six files into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(source_archive(requirements)) as archive:
        for member in archive:
            name = Path(member.name).name
            if name in NAMES and member.isfile():
                content = archive.extractfile(member)
                assert content is not None
                (folder / name).write_bytes(content.read())


if __name__ == "__main__":
    extract(Path(sys.argv[1]), Path(sys.argv[2]))
