import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from codeserve.app.logs import configure_logs


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root, config = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


def test_json_lines_hold_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json")
    structlog.get_logger("a").info("request", status=200)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp")
    assert line == {"event": "request", "status": 200, "level": "info"}


def test_libraries_log_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json")
    logging.getLogger("library").warning("disk %s", "full", extra={"model": "coder"})
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["model"]) == ("disk full", "warning", "coder")


def test_text_lines_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text")
    structlog.get_logger("a").info("request", status=200)
    line = capsys.readouterr().err
    assert "\x1b" not in line
    assert "request" in line
    assert line.endswith("status=200\n")


def test_an_exception_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json")
    try:
        raise ZeroDivisionError("oops")
    except ZeroDivisionError:
        logging.getLogger("a").exception("broken")
    assert "ZeroDivisionError: oops" in json.loads(capsys.readouterr().err)["exception"]


def test_the_level_holds(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text", "warning")
    structlog.get_logger("a").info("quiet")
    assert capsys.readouterr().err == ""


def test_libraries_that_log_generated_text_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text", "debug")
    logging.getLogger("sse_starlette.sse").debug("chunk: secret")
    assert capsys.readouterr().err == ""
