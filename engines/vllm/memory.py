"""The cores whose memory vLLM uses on a CPU."""

import os


def cores() -> str:
    """The cores that this process may use, as ``VLLM_CPU_OMP_THREADS_BIND`` has them."""
    if not hasattr(os, "sched_getaffinity"):
        return "nobind"
    return ",".join(map(str, sorted(os.sched_getaffinity(0))))
