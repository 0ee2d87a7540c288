from codeserve.engines.tracebacks import anonymous_traceback


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except type(error) as caught:
        return caught


def test_causes_come_first_and_nothing_is_quoted() -> None:
    text = anonymous_traceback(raised(KeyError("secret"), raised(ValueError("secret"))))
    first, second = text.split("This led to:")
    assert first.rstrip().endswith("ValueError")
    assert second.endswith("KeyError")
    assert "in raised" in first
    assert "'secret'" not in text


def test_a_group_tells_of_all_its_errors() -> None:
    text = anonymous_traceback(ExceptionGroup("secret", [ValueError("a"), OSError("b")]))
    assert [line for line in text.splitlines() if line.endswith("Error")] == [
        "ValueError",
        "OSError",
    ]


def test_errors_that_cause_each_other_end() -> None:
    first, second = ValueError(), KeyError()
    first.__context__, second.__context__ = second, first
    assert anonymous_traceback(first).count("Traceback") == 2
