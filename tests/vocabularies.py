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


def vectors(vocabulary: Path) -> list[tuple[str, list[int]]]:
    """llama.cpp's own test vectors for one of the files: texts and ids without BOS."""
    texts = Path(f"{vocabulary}.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    lines = Path(f"{vocabulary}.out").read_bytes().decode().split("\n")
    return [(t, [*map(int, line.split())]) for t, line in zip(texts, lines, strict=True)]


if __name__ == "__main__":
    extract(Path(sys.argv[1]), Path(sys.argv[2]))
