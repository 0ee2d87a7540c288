import re
import signal

import pytest

from codeserve.app.manager.exit_reason import exit_reason


@pytest.mark.parametrize(
    ("return_code", "words"),
    [
        (0, "status 0"),
        (3, "status 3"),
        (-signal.SIGILL, "SIGILL: .* an instruction that this CPU does not have"),
        (-signal.SIGKILL, "SIGKILL: .* out of memory"),
        (-signal.SIGSEGV, "SIGSEGV: a memory error"),
        (-signal.SIGUSR1, "SIGUSR1$"),
        (-200, "signal 200"),
    ],
)
def test_every_end_of_a_worker_is_put_into_words(return_code: int, words: str) -> None:
    assert re.search(words, exit_reason(return_code))
