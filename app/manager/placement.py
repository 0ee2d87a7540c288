"""Which part of the machine each worker of a model gets.

No heavy import here: the command line starts a worker before it has read its own settings.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from codeserve.engines.errors import InvalidRequest

if TYPE_CHECKING:
    from codeserve.app.model_settings import ModelSettings

GPU_ENGINES = frozenset({"llama.cpp", "transformers", "vllm"})
"""Engines whose workers take a GPU where there is one."""

PLACES = frozenset({"device", "device_map"})
"""Options of Transformers that say where a model goes."""

PARALLEL = frozenset({"tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"})
"""Options of vLLM that say how a model is spread over GPUs."""


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """The GPUs and cores of one worker; None: all that this process may use."""

    gpus: tuple[int, ...] | None = None
    """Indices as the driver counts them; an empty tuple: none."""
    cores: tuple[int, ...] | None = None
    """CPU numbers as the kernel counts them."""


ANYWHERE = Placement()


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to be shared out."""

    gpus: tuple[int, ...] = ()
    """Indices as the driver counts them."""
    cores: tuple[tuple[int, ...], ...] = ()
    """The CPU numbers of each physical core, neighbours beside each other; empty where a process
    cannot be confined to cores."""


def place(settings: "ModelSettings", engine: str, machine: Machine) -> tuple[Placement, ...]:
    """The places of the model's workers, one for each replica.

    Workers on GPUs share none. Several workers on the CPU share no physical core. Raises
    InvalidRequest where the machine has too little of what was asked for.
    """
    count = _gpus_each(settings, engine, machine)
    if count is None:
        return (ANYWHERE,)
    if count > 0:
        allowed = machine.gpus if settings.gpu_idx is None else settings.gpu_idx
        return tuple(Placement(gpus=part) for part in _shares(allowed, count, settings.replica))
    gpus = () if machine.gpus else None
    if settings.replica == 1:
        return (Placement(gpus=gpus),)
    return tuple(Placement(gpus=gpus, cores=cores) for cores in _core_sets(settings, machine))


def options(engine: str, settings: "ModelSettings", placement: Placement) -> Mapping[str, Any]:
    """The engine's options, with ``n_gpu`` and ``gpu_idx`` in its own words; what the operator
    has set under an own name wins."""
    given = settings.options
    if settings.n_gpu == "auto" and settings.gpu_idx is None:
        return given
    count = len(placement.gpus or ())
    match engine:
        case "llama.cpp":
            return {"n_gpu_layers": -1 if count else 0, **given}
        case "transformers" if not PLACES & given.keys():
            return {**_transformers(count), **given}
        case "vllm":
            spread = {} if count < 2 or PARALLEL & given.keys() else {"tensor_parallel_size": count}
            return {"device": "cuda" if count else "cpu", **spread, **given}
        case _:
            return given


def _transformers(count: int) -> Mapping[str, Any]:
    if count < 2:
        return {"device": "cuda" if count else "cpu"}
    return {"device_map": "auto"}


def _gpus_each(settings: "ModelSettings", engine: str, machine: Machine) -> int | None:
    """GPUs of each worker; 0: it computes on the CPU; None: the only worker takes what it finds.

    Raises InvalidRequest.
    """
    allowed = machine.gpus if settings.gpu_idx is None else _checked(settings.gpu_idx, machine)
    if settings.n_gpu == "auto":
        return _gpus_by_default(settings, engine, machine)
    if settings.n_gpu == 0 and settings.gpu_idx is not None:
        raise InvalidRequest(
            "n_gpu is 0, but gpu_idx names GPUs; drop one of them", param="gpu_idx"
        )
    needed = settings.n_gpu * settings.replica
    if needed > len(allowed):
        of_each = f", {needed} for {settings.replica} replicas," * (settings.replica > 1)
        raise InvalidRequest(
            f"n_gpu is {settings.n_gpu}{of_each or ','} but {_have(allowed, settings)}; set n_gpu "
            "to 0 to compute on the CPU",
            param="n_gpu",
        )
    return settings.n_gpu


def _gpus_by_default(settings: "ModelSettings", engine: str, machine: Machine) -> int | None:
    """What ``n_gpu = "auto"`` means."""
    if settings.gpu_idx is not None:
        each, rest = divmod(len(settings.gpu_idx), settings.replica)
        if rest or not each:
            raise InvalidRequest(
                f"gpu_idx names {len(settings.gpu_idx)} GPUs, which {settings.replica} replicas "
                "cannot share evenly",
                param="gpu_idx",
            )
        return each
    if settings.replica == 1:
        return None
    on_cpu = settings.options.get("device") == "cpu" or settings.options.get("n_gpu_layers") == 0
    if on_cpu or engine not in GPU_ENGINES or not machine.gpus:
        return 0
    if settings.replica > len(machine.gpus):
        raise InvalidRequest(
            f"replica: {settings.replica} replicas need {settings.replica} GPUs, but "
            f"{_have(machine.gpus, settings)}; set n_gpu to 0 to compute on the CPU",
            param="replica",
        )
    return 1


def _checked(indices: Sequence[int], machine: Machine) -> Sequence[int]:
    if not indices or len(set(indices)) < len(indices):
        raise InvalidRequest("gpu_idx: name at least one GPU, and none twice", param="gpu_idx")
    unknown = [index for index in indices if index not in machine.gpus]
    if unknown:
        raise InvalidRequest(
            f"gpu_idx: there is no GPU {unknown[0]}; {_here(machine.gpus)}", param="gpu_idx"
        )
    return indices


def _have(allowed: Sequence[int], settings: "ModelSettings") -> str:
    if settings.gpu_idx is not None:
        return f"gpu_idx names {len(allowed)}"
    return _here(allowed)


def _here(gpus: Sequence[int]) -> str:
    if not gpus:
        return "this machine has no GPU that NVIDIA's driver knows"
    return f"this machine has {', '.join(f'GPU {index}' for index in gpus)}"


def _shares(gpus: Sequence[int], each: int, replicas: int) -> Sequence[tuple[int, ...]]:
    return [tuple(gpus[number * each : (number + 1) * each]) for number in range(replicas)]


def _core_sets(settings: "ModelSettings", machine: Machine) -> Sequence[tuple[int, ...] | None]:
    """Disjoint sets of whole physical cores, equal in size up to one core. Raises
    InvalidRequest."""
    total, replicas = len(machine.cores), settings.replica
    if not total:
        return [None] * replicas
    if total < replicas:
        raise InvalidRequest(
            f"replica: {replicas} replicas on the CPU need a physical core each, but this machine "
            f"grants {total}",
            param="replica",
        )
    bounds = [total * number // replicas for number in range(replicas + 1)]
    return [
        tuple(sorted(cpu for core in machine.cores[first:end] for cpu in core))
        for first, end in itertools.pairwise(bounds)
    ]
