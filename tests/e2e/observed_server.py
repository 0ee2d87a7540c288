"""A server as ``codeserve serve`` runs it, but for two things: it restarts lost workers without
delay, for ever, and at SIGUSR1 it writes what it holds to ``observed.json`` beside its config."""

import argparse
import asyncio
import gc
import json
import signal
import sys
from pathlib import Path

import uvloop

from codeserve.app.cli.listening import listen
from codeserve.app.cli.service import Service
from codeserve.app.durable_file import write_durably
from codeserve.app.logs import configure_logs
from codeserve.app.manager.launcher import LocalLauncher
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.restarts import RestartPolicy
from codeserve.app.settings import Settings
from codeserve.model_specs.catalog import Catalog

AT_ONCE = RestartPolicy(first_delay=0.01, longest_delay=0.02, load_attempts=1000)


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    settings = Settings.load(given.config)
    configure_logs(level=settings.server.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(serve(settings, given.port, given.config.with_name("observed.json"))))


async def serve(settings: Settings, port: int, observed: Path) -> int:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, observe, observed)
    manager = ModelManager(settings.server, LocalLauncher(), Catalog.load(), AT_ONCE)
    with listen("127.0.0.1", port) as listener:
        return await Service(settings, listener, manager).run()


def observe(file: Path) -> None:
    gc.collect()
    held = {"tasks": len(asyncio.all_tasks()), "objects": len(gc.get_objects())}
    write_durably(file, json.dumps(held))


if __name__ == "__main__":
    main()
