"""``python -m codeserve.engines.worker --engine NAME --socket PATH``: one engine in a process of
its own."""

import argparse
import asyncio
import faulthandler
import os
import signal
import sys
from pathlib import Path
from threading import Thread

from codeserve.engines.worker.lifeline import hold_lifeline
from codeserve.engines.worker.listener import Listener
from codeserve.engines.worker.logs import configure_logs


def main() -> None:
    """Serve until the API process ends this worker or itself.

    Signals from the terminal and from service managers reach every process of the server; the
    API process alone decides what they mean, so a worker ignores them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    faulthandler.enable()
    configure_logs()
    parser = argparse.ArgumentParser(prog="codeserve.engines.worker", description=__doc__)
    parser.add_argument("--engine", required=True, help="engine to import while nobody connects")
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to listen on")
    given = parser.parse_args()
    listener = Listener(given.socket)
    hold_lifeline(listener.remove)
    # The rest is imported now, because one can connect meanwhile.
    from codeserve.engines import registry
    from codeserve.engines.worker.host import serve

    Thread(target=registry.preload, args=(given.engine,), daemon=True).start()
    _exit_at_once(asyncio.new_event_loop().run_until_complete(serve(listener)))


def _exit_at_once(status: int) -> None:
    """Exit without waiting for threads, or for native libraries to tidy up."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
