import logging

import pytest

from codeserve.app.manager.worker_log import WorkerLine


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        ("ERROR codeserve.host: broken", logging.ERROR, "codeserve.host: broken"),
        ("WARNING llama.cpp: slow", logging.WARNING, "llama.cpp: slow"),
        (
            "(EngineCore pid=7) WARNING 11-22 10:00:00 [core.py:1] slow",
            logging.WARNING,
            "(EngineCore pid=7) 11-22 10:00:00 [core.py:1] slow",
        ),
        ("DEBUG: x", logging.DEBUG, "x"),
        ("Loading weights: 100%", logging.INFO, "Loading weights: 100%"),
        ("ERRORS were found", logging.INFO, "ERRORS were found"),
        ("INFO", logging.INFO, "INFO"),
    ],
)
def test_a_line_is_as_grave_as_it_says(line: str, level: int, text: str) -> None:
    assert WorkerLine.parse(line) == (level, text)
