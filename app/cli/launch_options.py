"""The options that say what to launch and how: those of Xinference's ``launch``, and our own."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from codeserve.app.cli.failure import USAGE_ERROR, fail

ENGINE_OPTIONS = "codeserve.engine_options"
CONSTANTS = {"True": True, "False": False, "None": None}
LIKE_OURS = 0.85
"""How near, from 0 to 1, an option's name must be to one of ours to be taken for a slip."""


class Load(StrEnum):
    """When a model is loaded."""

    START = "start"
    ON_DEMAND = "on_demand"


class LaunchCommand(TyperCommand):
    """A command that takes options that it does not know as those of the engine."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Keep the command's own options, and the engine's in the context."""
        options = {
            name: option
            for option in self.get_params(ctx)
            if isinstance(option, TyperOption)
            for name in (*option.opts, *option.secondary_opts)
        }
        completing = ctx.resilient_parsing  # What a shell completes may be half a command.
        own, foreign = (args, {}) if completing else _split(args, options)
        ctx.meta[ENGINE_OPTIONS] = foreign
        return super().parse_args(ctx, own)


def with_launch_options(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with every option of ``launch_request`` before its own.

    It gets the request as its first argument, the engine's options included. Register what this
    gives with ``cls=LaunchCommand``.
    """
    _, *own = signature(command).parameters.values()
    flags = signature(launch_request).parameters

    @wraps(command)
    def run(context: typer.Context, **values: Any) -> None:
        request = launch_request(**{name: values.pop(name) for name in flags})
        command({**request, **context.meta[ENGINE_OPTIONS]}, **values)

    context = Parameter("context", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    run.__signature__ = Signature([context, *flags.values(), *own])  # type: ignore[attr-defined]
    return run


def _n_gpu(text: str) -> int | str:
    if text.lower() == "none":
        return 0
    if text.lower() == "auto":
        return "auto"
    if not text.isdecimal():
        raise typer.BadParameter(f"{text!r} is neither a number from 0 nor auto")
    return int(text)


def _gpu_idx(text: str) -> list[int]:
    numbers = [part.strip() for part in text.split(",")]
    if not all(number.isdecimal() for number in numbers):
        raise typer.BadParameter(f"{text!r} is not a list of GPUs such as 0,1")
    return [int(number) for number in numbers]


def launch_request(  # noqa: PLR0913 - the options
    model_name: Annotated[
        str | None, typer.Option("--model-name", "-n", help="A family: see `codeserve models`.")
    ] = None,
    model_type: Annotated[
        str, typer.Option("--model-type", "-t", help="Only LLM.", hidden=True)
    ] = "LLM",
    model_engine: Annotated[
        str | None,
        typer.Option(
            "--model-engine",
            "-en",
            help="llama.cpp, vLLM or Transformers, in any case; default: the best installed one.",
        ),
    ] = None,
    model_uid: Annotated[
        str | None,
        typer.Option(
            "--model-uid", "-u", help="The id that clients ask for; default: the model's name."
        ),
    ] = None,
    size_in_billions: Annotated[
        str | None, typer.Option("--size-in-billions", "-s", help="Such as 1_3, 1.3 or 33.")
    ] = None,
    model_format: Annotated[
        str | None, typer.Option("--model-format", "-f", help="pytorch, ggufv2, gptq or awq.")
    ] = None,
    quantization: Annotated[
        str | None,
        typer.Option("--quantization", "-q", help="Such as Q4_K_M, Int4, 4-bit, 8-bit or none."),
    ] = None,
    model_path: Annotated[
        str | None,
        typer.Option(
            "--model-path",
            "-mp",
            help="Weights on the server's machine, a .gguf file or a Hugging Face folder, instead "
            "of those of a hub.",
        ),
    ] = None,
    replica: Annotated[
        int | None, typer.Option("--replica", "-r", min=1, help="Workers; each has the model.")
    ] = None,
    n_gpu: Annotated[
        Any,
        typer.Option(parser=_n_gpu, metavar="N", help="GPUs of each worker, 0 for none, or auto."),
    ] = None,
    gpu_idx: Annotated[
        Any,
        typer.Option(parser=_gpu_idx, metavar="N,N", help="The GPUs that may be used."),
    ] = None,
    hub: Annotated[
        str | None,
        typer.Option(
            "--hub",
            "--download-hub",
            "--download_hub",
            help="huggingface or modelscope; default: the first that has it.",
        ),
    ] = None,
    context_length: Annotated[
        int | None, typer.Option(min=1, help="Tokens of one request, prompt and output together.")
    ] = None,
    max_concurrency: Annotated[
        int | None, typer.Option(min=1, help="Requests that are decoded together.")
    ] = None,
    load: Annotated[
        Load | None, typer.Option(help="At once, or with the first request; default: start.")
    ] = None,
    idle_timeout: Annotated[
        float | None,
        typer.Option(help="Seconds without a request after which its memory is given back."),
    ] = None,
    pin: Annotated[bool, typer.Option("--pin", help="Never unload it.")] = False,
) -> dict[str, Any]:
    """The body of ``POST /v1/models`` that asks for this, without the engine's own options."""
    if model_name is None and model_path is None:
        fail(
            "say what to launch: --model-name NAME, of which `codeserve models` lists all, or "
            "--model-path PATH",
            USAGE_ERROR,
        )
    request = {
        "model_uid": model_uid,
        "model_name": model_name,
        "model_type": model_type,
        "model_engine": model_engine,
        "model_size_in_billions": size_in_billions,
        "model_format": model_format,
        "quantization": quantization,
        "model_path": model_path and os.path.abspath(os.path.expanduser(model_path)),
        "replica": replica,
        "n_gpu": n_gpu,
        "gpu_idx": gpu_idx,
        "hub": hub,
        "context_length": context_length,
        "max_concurrency": max_concurrency,
        "load": load and load.value,
        "idle_timeout": idle_timeout,
        "pinned": pin or None,
    }
    return {name: value for name, value in request.items() if value is not None}


def _split(
    arguments: Sequence[str], options: Mapping[str, TyperOption]
) -> tuple[list[str], dict[str, Any]]:
    """The arguments that belong to ``options``, and the engine's options with their values."""
    own: list[str] = []
    foreign: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        name, joined, text = rest[0].partition("=")
        option = options.get(name)
        if name.startswith("--") and len(name) > 2 and option is None and name != "--help":
            taken = 1 if joined else 2
            value = text if joined else _value(name, rest[1:])
            foreign[_engine_name(name, options)] = _parsed(value)
        else:
            taken = 1 if option is None or option.is_flag or joined else 2
            own += rest[:taken]
        rest = rest[taken:]
    return own, foreign


def _value(name: str, rest: Sequence[str]) -> str:
    if not rest or rest[0].startswith("--"):
        fail(
            f"{name} is no option of this command, and as an option of the engine it needs a "
            f"value: {name} VALUE",
            USAGE_ERROR,
        )
    return rest[0]


def _engine_name(name: str, options: Mapping[str, TyperOption]) -> str:
    """The engine's word for ``--name``. The command ends if it looks like a slip of our own."""
    near = get_close_matches(name.replace("_", "-"), options, n=1, cutoff=LIKE_OURS)
    if near:
        fail(f"there is no option {name}. Did you mean {near[0]}?", USAGE_ERROR)
    return name.removeprefix("--").replace("-", "_")


def _parsed(text: str) -> Any:
    """The JSON value or Python constant that ``text`` is; else the text itself."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
