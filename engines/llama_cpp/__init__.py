"""The llama.cpp engine; only a worker process imports it."""

import os

if "OMP_WAIT_POLICY" not in os.environ:
    # Read by GCC's OpenMP when llama.cpp's libraries are loaded. By default a thread that waits for
    # the others spins for some 15 ms; where it takes the core away from them (other processes,
    # containers with a quota) a step takes 3 to 10 times as long. 1000 turns are about 50 us.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
