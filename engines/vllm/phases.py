"""How far vLLM's start has come, from what it logs."""

import re

from codeserve.engines.base import Progress

PHASES = (
    (re.compile(r"Initializing a V\d LLM engine"), "processes", 1.0),
    (re.compile(r"Starting to load model"), "weights", 0.0),
    (re.compile(r"Loading weights took|Model loading took"), "weights", 1.0),
    (re.compile(r"Compiling a graph|Warming up model|Capturing CUDA graph"), "compiling", 0.0),
    (re.compile(r"KV cache size|Explicitly set .* for KV cache"), "KV cache", 0.0),
    (re.compile(r"init engine .* took"), "KV cache", 1.0),
)
_SHARDS = re.compile(r"Loading \S+ checkpoint shards:\s+(\d+)%")


class Phases:
    """Reports phases while vLLM starts."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def read(self, line: str) -> None:
        """Report what ``line`` tells, if anything."""
        if shards := _SHARDS.search(line):
            self._progress("weights", int(shards[1]) / 100)
            return
        for pattern, phase, fraction in PHASES:
            if pattern.search(line):
                self._progress(phase, fraction)
                return
