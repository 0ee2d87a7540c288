"""``python start.py --engine NAME --socket PATH``: a worker in any Python environment.

``python start.py follow --node-rank N``: vLLM's part on another machine instead.

The environment has the engine's packages, but need not have codeserve installed: this file makes
the packages beside its own, ``codeserve.engines`` and ``codeserve.model_specs``, importable. An
engine's child processes run it again, as ``multiprocessing`` has it, and end with their parents.
"""

import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
"""The folder with ``engines`` and ``model_specs``, in the repository as in an installation."""


def share_packages() -> None:
    """Let this interpreter import what lies beside this package, and nothing else of there."""
    package = ModuleType("codeserve")
    package.__path__ = [str(ROOT)]
    sys.modules["codeserve"] = package


share_packages()

if __name__ == "__main__":
    if sys.argv[1:2] == ["follow"]:
        del sys.argv[1]
        from codeserve.engines.vllm.follower import main
    else:
        from codeserve.engines.worker.__main__ import main

    main()
elif __name__ == "__mp_main__":
    from codeserve.engines.worker.lifeline import end_with_parent

    end_with_parent()
