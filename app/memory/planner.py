"""Says before loading what a model will need, and whether it fits this machine."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from codeserve.app.environments.engines import Engines
from codeserve.app.manager.resolution import Resolution
from codeserve.app.memory import choices
from codeserve.app.memory.gpus import GpuMemory, gpu_memories
from codeserve.app.memory.ledger import Ledger, Subject, entry_of
from codeserve.app.memory.measurement import measure
from codeserve.app.memory.plan import Plan, QuantizationPlan
from codeserve.app.memory.refusal import refusal
from codeserve.app.memory.requirement import HOST, Requirement, gpu_pool
from codeserve.app.memory.site import gpus_of
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.errors import InsufficientMemory
from codeserve.engines.footprint import llama_cpp, transformers, vllm
from codeserve.engines.footprint.footprint import Footprint, Load
from codeserve.engines.memory import LONGEST_DEFAULT, MIB, available_bytes, total_bytes
from codeserve.model_specs.errors import WeightsError
from codeserve.model_specs.gguf_header import gguf_parts
from codeserve.model_specs.weights_head import WeightsHead

FORMULAS: Mapping[str, Callable[[Load], Footprint]] = {
    "llama.cpp": llama_cpp.footprint,
    "transformers": transformers.footprint,
    "vllm": vllm.footprint,
}

HEADROOM_SHARE = 0.05
MOST_HEADROOM = 2048 * MIB
"""Main memory for the system and the server itself: a twentieth, at most 2 GiB."""
GPU_HEADROOM = 512 * MIB
"""On each GPU, for the driver and a display."""

SMALL_CONTEXT = 8192
"""Tokens of the one request that "a small context" means."""


class Planner:
    """The one place that weighs models against memory."""

    def __init__(self, server: ServerSettings, ledger: Ledger | None = None) -> None:
        """``ledger``: what was measured earlier; None: the user's own."""
        self._server = server
        self._ledger = ledger or Ledger.default()
        self._engines = Engines(server.engines)

    def requirement(self, resolution: Resolution, path: Path | None) -> Requirement:
        """What one replica needs: by the weights at ``path``, else by the catalogue's shape.

        All is unknown where neither says enough, and where the file is damaged, of which the
        engine will say more.
        """
        try:
            head = self.head(resolution, path)
        except WeightsError:
            return Requirement()
        return Requirement() if head is None else self._weigh(resolution, head, path)

    def check(self, resolution: Resolution, requirement: Requirement) -> None:
        """Raise InsufficientMemory if all replicas can never be loaded here together."""
        limits = self.limits()
        if not _missing(resolution, requirement, limits):
            return
        others = [
            (name, need)
            for name, other in choices.quantizations(resolution)
            if _lies_in(limits, other, need := self.requirement(other, None))
        ]
        fits = partial(self._fits, path=resolution.settings.path, limits=limits)
        context = requirement.context_length
        fixed = choices.with_settings(resolution, context_length=context)
        raise InsufficientMemory(
            refusal(
                resolution,
                requirement,
                limits,
                quantizations=others,
                context=context and choices.longest_context(resolution, context - 1, fits),
                requests=choices.most_requests(fixed, fits),
            )
        )

    def limits(self) -> Mapping[str, int]:
        """Bytes of each pool that all models may take together.

        Main memory: ``max_memory``, else what the machine or the container has, less a twentieth
        (at most 2 GiB). A GPU: what it has, less 512 MiB.
        """
        total = total_bytes()
        own = total - min(MOST_HEADROOM, int(total * HEADROOM_SHARE))
        most = self._server.max_memory
        gpus = {gpu_pool(gpu.index): gpu.total_bytes - GPU_HEADROOM for gpu in gpu_memories()}
        return {HOST: own if most is None else int(most), **gpus}

    def record(self, resolution: Resolution, path: Path, pids: Sequence[int]) -> int | None:
        """Bytes that the workers ``pids``, one of each replica, and all below them take right
        after loading; remembered. None if no worker runs."""
        taken = measure(pids, _files(path))
        if taken is None:
            return None
        try:
            head = self.head(resolution, path)
        except WeightsError:
            head = None
        footprint = head and self._footprint(resolution, head)
        process_bytes = footprint.process_bytes if footprint else 0
        host = taken.host_bytes(process_bytes * len(pids))
        gpu = sum(taken.gpu_bytes.values())
        if footprint:
            subject = self._subject(resolution, path, footprint)
            self._ledger.keep(subject, entry_of(path.name, host // len(pids), gpu // len(pids)))
        return host + gpu

    def head(self, resolution: Resolution, path: Path | None) -> WeightsHead | None:
        """What is known of the weights without loading them; None: nothing. Raises WeightsError
        for files at ``path`` that are damaged."""
        if path is not None:
            return WeightsHead.read(path)
        selection = resolution.selection
        if selection is None:
            return None
        return WeightsHead.of_spec(selection.family, selection.spec, selection.quantization)

    def plan(self, resolution: Resolution, path: Path | None, *, installed: bool = True) -> Plan:
        """All that can be said. Raises WeightsError for files at ``path`` that are damaged."""
        head, limits, settings = self.head(resolution, path), self.limits(), resolution.settings
        requirement = self.requirement(resolution, path)
        try:
            self.check(resolution, requirement)
            reason = None
        except InsufficientMemory as error:
            reason = error.message
        known = requirement.total is not None
        fits = partial(self._fits, path=path, limits=limits)
        trained = self._trained(resolution, head)
        return Plan(
            id=settings.id,
            engine=resolution.choice.engine,
            installed=installed,
            weights="catalogue" if path is None else str(path),
            exact=head is not None and head.exact,
            replicas=settings.replica,
            max_concurrency=settings.max_concurrency,
            requirement=requirement,
            total_bytes=requirement.total,
            needs=_needs(resolution, requirement),
            limits=limits,
            free=self._free(),
            fits=reason is None if known else None,
            refusal=reason,
            longest_context=choices.longest_context(resolution, trained, fits) if known else None,
            quantizations=tuple(self._quantizations(resolution, path, limits)),
        )

    def _quantizations(
        self, resolution: Resolution, path: Path | None, limits: Mapping[str, int]
    ) -> list[QuantizationPlan]:
        rows = []
        chosen = resolution.selection and resolution.selection.quantization
        for name, other in choices.quantizations(resolution):
            own = path if name == chosen else None
            head, need = self.head(other, own), self.requirement(other, own)
            small = choices.with_settings(
                other, context_length=self._small(other, head), max_concurrency=1
            )
            least = self.requirement(small, own).total
            if head is None or need.total is None or least is None or not need.context_length:
                continue
            missing = max(_missing(other, need, limits).values(), default=0)
            rows.append(
                QuantizationPlan(
                    quantization=name,
                    weights_bytes=need.weights_bytes or head.bytes,
                    exact=head.exact,
                    small_context_bytes=least,
                    context_length=need.context_length,
                    total_bytes=need.total,
                    fits=not missing,
                    missing_bytes=missing,
                    longest_context=choices.longest_context(
                        other,
                        self._trained(other, head),
                        partial(self._fits, path=own, limits=limits),
                    ),
                )
            )
        return rows

    def _weigh(self, resolution: Resolution, head: WeightsHead, path: Path | None) -> Requirement:
        """What one replica of weights with this ``head`` needs."""
        gpus = self._gpus(resolution)
        device: Literal["cpu", "cuda"] = "cuda" if gpus else "cpu"
        indices = tuple(gpu.index for gpu in gpus)
        footprint = self._footprint(resolution, head)
        if footprint is None:
            return Requirement(device=device, gpus=indices, weights_bytes=head.bytes)
        known = Requirement(
            device=device,
            gpus=indices,
            weights_bytes=footprint.weights_bytes,
            kv_bytes=footprint.kv_bytes,
            overhead_bytes=footprint.buffers_bytes + footprint.process_bytes,
            host_bytes=footprint.host_bytes,
            context_length=footprint.context_length,
        )
        if path is None:
            return known
        entry = self._ledger.recall(self._subject(resolution, path, footprint))
        if entry is None or (gpus and not entry.gpu_bytes):  # the driver did not tell
            return known
        host = entry.host_bytes + footprint.late_bytes
        return msgspec.structs.replace(
            known, measured_bytes=host + entry.gpu_bytes, host_bytes=host if gpus else 0
        )

    def _footprint(self, resolution: Resolution, head: WeightsHead) -> Footprint | None:
        """By the engine's own rules; None where it has none that are known here."""
        formula = FORMULAS.get(resolution.choice.engine)
        if formula is None or head.network is None:
            return None
        settings = resolution.settings
        load = Load(
            head=head,
            network=head.network,
            concurrency=settings.max_concurrency,
            context_length=settings.context_length,
            trained_context_length=self._trained(resolution, head),
            quantization=resolution.quantization,
            options=settings.options,
            free_bytes=available_bytes(),
            gpus=tuple(gpu.total_bytes for gpu in self._gpus(resolution)),
        )
        try:
            return formula(load)
        except msgspec.ValidationError:  # of options, which the engine refuses in better words
            return None

    def _gpus(self, resolution: Resolution) -> tuple[GpuMemory, ...]:
        """Those of one replica."""
        there = gpu_memories()
        engine = resolution.choice.engine
        installation = self._engines.find(engine) if there else None
        if installation is None or installation.device(has_gpu=True) == "cpu":
            return ()
        chosen = gpus_of(resolution.settings, engine, there)
        return tuple(gpu for gpu in there if gpu.index in chosen)

    def _fits(self, resolution: Resolution, path: Path | None, limits: Mapping[str, int]) -> bool:
        return _lies_in(limits, resolution, self.requirement(resolution, path))

    def _trained(self, resolution: Resolution, head: WeightsHead | None) -> int:
        """The longest context that the engine will allow."""
        if resolution.selection is not None:
            return resolution.selection.variant.context_length
        network = head and head.network
        return (network and network.trained_context_length) or LONGEST_DEFAULT

    def _small(self, resolution: Resolution, head: WeightsHead | None) -> int:
        return min(SMALL_CONTEXT, self._trained(resolution, head))

    def _free(self) -> Mapping[str, int]:
        gpus = {gpu_pool(gpu.index): gpu.free_bytes for gpu in gpu_memories()}
        return {HOST: available_bytes(), **gpus}

    def _subject(self, resolution: Resolution, path: Path, footprint: Footprint) -> Subject:
        files = ((file.name, file.stat()) for file in _files(path))
        return Subject(
            weights=tuple((name, status.st_size, status.st_mtime_ns) for name, status in files),
            engine=resolution.choice.engine,
            python=resolution.choice.python,
            quantization=resolution.quantization,
            context_length=footprint.context_length,
            max_concurrency=resolution.settings.max_concurrency,
            options=resolution.settings.options,
            gpus=len(self._gpus(resolution)),
        )


def _files(path: Path) -> tuple[Path, ...]:
    """The files of the weights at ``path``."""
    if path.is_dir():
        return tuple(file for file in sorted(path.iterdir()) if file.is_file())
    return gguf_parts(path)


def _needs(resolution: Resolution, requirement: Requirement) -> Mapping[str, int]:
    """Of all replicas; on GPUs each has its own, so that of the first counts."""
    replicas = resolution.settings.replica
    needs = requirement.needs
    return {pool: size * (replicas if pool == HOST else 1) for pool, size in needs.items()}


def _missing(
    resolution: Resolution, requirement: Requirement, limits: Mapping[str, int]
) -> Mapping[str, int]:
    """Bytes that are missing, by pool; pools without a limit and unknown needs miss nothing."""
    needs = _needs(resolution, requirement)
    return {
        pool: size - limits[pool]
        for pool, size in needs.items()
        if pool in limits and size > limits[pool]
    }


def _lies_in(limits: Mapping[str, int], resolution: Resolution, requirement: Requirement) -> bool:
    return requirement.total is not None and not _missing(resolution, requirement, limits)
