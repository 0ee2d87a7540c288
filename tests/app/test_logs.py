import json
import logging
from collections.abc import Iterator
from typing import Any

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


@pytest.mark.parametrize("given", [True, ZeroDivisionError("secret")])
@pytest.mark.parametrize("logger", [logging.getLogger("a"), structlog.get_logger("a")])
def test_an_exception_says_where_and_what_it_was_but_not_what_it_quotes(
    capsys: pytest.CaptureFixture[str], logger: Any, given: object
) -> None:
    configure_logs("json")
    try:
        raise ZeroDivisionError("".join(("se", "cret")))
    except ZeroDivisionError:
        logger.error("broken", exc_info=given)
    line = json.loads(capsys.readouterr().err)
    assert line["exception"].endswith("ZeroDivisionError")
    assert "secret" not in line["exception"]


def test_an_exception_of_what_sees_no_requests_keeps_its_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("text")
    logging.getLogger("codeserve.app.manager.model").error("a", exc_info=OSError("disk full"))
    assert "OSError: disk full" in capsys.readouterr().err


def test_what_asyncio_quotes_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text")
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: <'secret'>")
    assert capsys.readouterr().err.endswith("Task exception was never retrieved\n")


def test_no_text_ends_a_line_or_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text")
    logging.getLogger("a").warning("worker: \x1b[2Jgone\r", extra={"path": "/x\n2026 [error]"})
    (line,) = capsys.readouterr().err.splitlines()
    assert "worker: \\x1b[2Jgone\\r" in line
    assert "/x\\\\n2026 [error]" in line or "/x\\n2026 [error]" in line


def test_the_level_holds(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text", "warning")
    structlog.get_logger("a").info("quiet")
    assert capsys.readouterr().err == ""


def test_libraries_that_log_generated_text_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text", "debug")
    logging.getLogger("sse_starlette.sse").debug("chunk: secret")
    assert capsys.readouterr().err == ""
