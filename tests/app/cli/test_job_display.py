import io
import json
import re

import msgspec
import pytest
from rich.console import Console

from codeserve.app.cli.job_display import JobBars, JobDisplay, JobEvents
from codeserve.app.manager.jobs import Job, JobState

PENDING = Job(id="1", model="coder", created=0.0)
DOWNLOAD = msgspec.structs.replace(
    PENDING,
    phase="downloading",
    progress=0.25,
    bytes_done=500_000_000,
    bytes_total=2_000_000_000,
    bytes_per_second=15_000_000.0,
    seconds_left=100.0,
)
LOADING = msgspec.structs.replace(PENDING, phase="weights", progress=0.5)
SUCCEEDED = msgspec.structs.replace(PENDING, state=JobState.SUCCEEDED, phase="ready")
FAILED = msgspec.structs.replace(PENDING, state=JobState.FAILED, phase="failed", error="boom")


def seen_on_a_terminal(*moments: Job) -> str:
    """What a terminal shows in the end, without its colours."""
    output = io.StringIO()
    with JobBars(Console(file=output, force_terminal=True, width=120)) as bars:
        for job in moments:
            bars.show(job)
    last = output.getvalue().rpartition("\x1b[1A\x1b[2K")[2] or output.getvalue()
    return re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", last)


def test_a_terminal_shows_bytes_speed_and_the_time_that_is_left() -> None:
    shown = seen_on_a_terminal(PENDING, DOWNLOAD)
    assert "coder: downloading" in shown
    assert "500.0 MB of 2.0 GB, 15.0 MB/s, 1:40 left" in shown


def test_a_terminal_has_a_bar_for_each_phase_and_marks_those_that_are_done() -> None:
    shown = seen_on_a_terminal(DOWNLOAD, LOADING)
    assert "✓ coder: downloading" in shown
    assert "coder: weights" in shown
    assert "✓ coder: weights" not in shown
    assert "✓ coder: weights" in seen_on_a_terminal(DOWNLOAD, LOADING, SUCCEEDED)
    assert "✓ coder: weights" not in seen_on_a_terminal(DOWNLOAD, LOADING, FAILED)


def test_what_is_said_meanwhile_stands_above_the_bars() -> None:
    output = io.StringIO()
    with JobBars(Console(file=output, force_terminal=True, width=40)) as bars:
        bars.show(LOADING)
        bars.say("The server goes on with [this] by itself, whatever becomes of you.")
    assert "The server goes on with [this] by itself, whatever becomes of you." in output.getvalue()


def test_a_file_gets_a_line_for_each_phase_and_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    display = JobDisplay()
    for percent in (0, 1, 9, 10, 11, 19, 55):
        display.show(msgspec.structs.replace(LOADING, progress=percent / 100))
    display.show(SUCCEEDED)
    written = capsys.readouterr()
    lines = ["coder: weights, 0%", "coder: weights, 10%", "coder: weights, 55%"]
    assert written.err.splitlines() == lines
    assert written.out == ""


def test_a_download_of_unknown_size_tells_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = msgspec.structs.replace(PENDING, phase="downloading", bytes_done=1_000)
    JobDisplay().show(unknown)
    assert capsys.readouterr().err == "coder: downloading, 1.0 kB\n"


def test_a_program_gets_each_moment_as_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    display = JobEvents()
    display.show(DOWNLOAD)
    display.say("something for people")
    written = capsys.readouterr()
    (event,) = map(json.loads, written.out.splitlines())
    assert event["event"] == "progress"
    assert msgspec.convert(event["job"], Job) == DOWNLOAD
