"""The lines that a worker writes, as its log's, its engine's or nobody's in particular."""

import logging
import re
from typing import NamedTuple

LEVELLED = re.compile(
    r"(?P<process>(?:\(\w+(?: pid=\d+)?\) )*)"
    r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL):? +(?P<text>\S.*)",
    re.DOTALL,
)
"""A line of the worker's own log or of vLLM's, whose processes name themselves first."""


class WorkerLine(NamedTuple):
    """One line, and how grave it is."""

    level: int
    """As the standard library counts levels; INFO where the line does not say."""
    text: str

    @classmethod
    def parse(cls, line: str) -> "WorkerLine":
        """``line`` without the name of its level."""
        if found := LEVELLED.fullmatch(line):
            level = logging.getLevelNamesMapping()[found["level"]]
            return cls(level, found["process"] + found["text"])
        return cls(logging.INFO, line)
