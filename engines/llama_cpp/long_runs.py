"""Texts that llama.cpp's pre-tokenizer cannot take in one piece."""

import re
from collections.abc import Iterator

LIMIT = 2048
LONG_RUN = re.compile(rf"(?<!\S)\S{{{LIMIT},}}|(?<!\s)\s{{{LIMIT},}}")
WORD_END = re.compile(r"[^\W\d_](?=[\W\d_])")


def pieces(text: str) -> Iterator[str]:
    """``text`` in parts without a run of more than ``LIMIT`` characters of one kind.

    For many vocabularies llama.cpp splits words with ``std::regex``, which takes about 300 bytes of
    stack for each character of a match: some 28,000 letters or spaces in a row overflow 8 MiB and
    crash the process. Such runs are cut, at the end of a word if there is one in the second half
    of the limit, where the ids stay those of the whole text.
    """
    start = 0
    for run in LONG_RUN.finditer(text):
        position = run.start()
        while run.end() - position > LIMIT:
            ends = [
                end.end()
                for end in WORD_END.finditer(text, position + LIMIT // 2, position + LIMIT)
            ]
            position = ends[-1] if ends else position + LIMIT
            yield text[start:position]
            start = position
    yield text[start:]
