import os
import subprocess
import sys

SCRIPT = """
import os, subprocess, sys
from codeserve.engines.vllm.output import Output
lines = []
output = Output(lines.append)
print("INFO 11-22 13:26:51 [core.py:133] from here", flush=True)
subprocess.run(["sh", "-c", "echo '(Worker pid=7) ERROR 11-22 13:26:51 [a.py:1] ValueError: no'"])
os.write(2, b"50%\\r100%\\n")
output.close()
print(lines == list(output.lines()) == ["from here", "ValueError: no", "50%", "100%"])
"""


def test_what_this_process_and_its_children_write_is_read_along_and_passed_on() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.splitlines()[-1] == "True"
    assert "[core.py:133] from here" in done.stderr
    assert "(Worker pid=7) ERROR" in done.stderr
