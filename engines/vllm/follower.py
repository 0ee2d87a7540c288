"""The part of a model that vLLM runs on another machine than the server's."""

import argparse
import logging
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from threading import Thread
from types import FrameType

import msgspec
from torch.distributed import TCPStore
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.v1.executor.multiproc_executor import MultiprocExecutor

from codeserve.engines.errors import ModelLoadError, ServingError
from codeserve.engines.hugging_face.folder import Folder
from codeserve.engines.types import EngineConfig
from codeserve.engines.vllm import arguments
from codeserve.engines.vllm.options import VllmOptions
from codeserve.engines.worker.logs import configure_logs

LEADER_PATIENCE = timedelta(minutes=30)
"""For the leader to come, as long as vLLM's own processes wait for it."""
PROBE_SECONDS = 1.0

logger = logging.getLogger(__name__)


def main() -> None:
    """``start.py follow --node-rank N``: work for the leader until it ends.

    Standard input has the leader's ``EngineConfig`` as JSON: it may hold secrets, which the command
    line would show to every user of the machine.
    """
    configure_logs()
    parser = argparse.ArgumentParser(prog="codeserve.engines.vllm.follower", description=__doc__)
    parser.add_argument("--node-rank", type=int, required=True, help="which machine: 1 or more")
    given = parser.parse_args()
    config = msgspec.json.decode(sys.stdin.buffer.read(), type=EngineConfig)
    try:
        args = follower_args(config, given.node_rank)
    except ServingError as error:
        sys.exit(f"codeserve: {error.message}")
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    _run(args)


def follower_args(config: EngineConfig, node_rank: int) -> AsyncEngineArgs:
    """The leader's settings, for the machine ``node_rank``. Raises ModelLoadError."""
    options = VllmOptions.of(config.options)
    _check(config, options, node_rank)
    given = {**options.engine_args, "node_rank": node_rank}
    folder = Folder.read(Path(config.path))
    arguments.set_environment(options)
    options = msgspec.structs.replace(options, engine_args=given)
    return arguments.engine_args(config, folder, folder.variant(config), options)


def _check(config: EngineConfig, options: VllmOptions, node_rank: int) -> None:
    """Refuse what would differ from one machine to the next."""
    nodes = options.engine_args.get("nnodes", 1)
    if not 0 < node_rank < nodes:
        raise ModelLoadError(
            f"A follower's node rank is from 1 to options.nnodes less 1, not {node_rank}; "
            f"options.nnodes is {nodes}."
        )
    for name in ("master_addr", "seed"):
        if name not in options.engine_args:
            raise ModelLoadError(f"Set options.{name}: all machines need the same.")
    if config.context_length is None and "max_model_len" not in options.engine_args:
        raise ModelLoadError("Set context_length: all machines need the same.")


def _run(args: AsyncEngineArgs) -> None:
    """Follow until the leader or one of vLLM's processes here ends, as vLLM's headless command."""
    settled = args.create_engine_config(headless=True)
    parallel = settled.parallel_config
    leader = (parallel.master_addr, parallel.master_port)
    Thread(target=_end_with, args=leader, name="leader", daemon=True).start()
    executor = MultiprocExecutor(settled, monitor_workers=False)
    try:
        executor.start_worker_monitor(inline=True)
    finally:
        executor.shutdown()
    sys.exit("codeserve: vLLM's process has ended.")


def _end_with(host: str, port: int) -> None:
    """End this process when the leader's store of keys is gone, which idle workers never ask."""
    try:
        store = TCPStore(
            host, port, is_master=False, wait_for_workers=False, timeout=LEADER_PATIENCE
        )
        while True:
            time.sleep(PROBE_SECONDS)
            store.num_keys()
    except RuntimeError:
        logger.error("the leader at %s:%s has ended", host, port)
        os.kill(os.getpid(), signal.SIGTERM)


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit()
