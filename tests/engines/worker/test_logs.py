import logging

from codeserve.engines.worker.logs import LineFormatter


def formatted(name: str, message: str, error: Exception | None = None) -> list[str]:
    caught = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord(name, logging.ERROR, "", 0, message, (), caught)
    return LineFormatter().format(record).splitlines()


def test_every_line_has_its_level_and_none_quotes_an_exception() -> None:
    lines = formatted("host", "broken", ValueError("secret"))
    assert lines[0] == "ERROR host: broken"
    assert lines[-1] == "ERROR host: ValueError"
    assert all(line.startswith("ERROR host: ") for line in lines)


def test_asyncio_quotes_no_arguments() -> None:
    assert formatted("asyncio", "Task failed\nfuture: <'secret'>") == ["ERROR asyncio: Task failed"]
