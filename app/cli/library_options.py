"""Options of the commands that look at what was pulled."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class RemoteHub(StrEnum):
    """The hubs that can be asked for by name."""

    HUGGINGFACE = "huggingface"
    MODELSCOPE = "modelscope"


Config = Annotated[
    Path | None, typer.Option(help="Config file (TOML) whose `store` names the folder.")
]
ModelFormat = Annotated[
    str | None,
    typer.Option(
        "--model-format",
        "-f",
        help="pytorch, ggufv2, gptq or awq, for a SPEC; default: ggufv2 where there is one.",
    ),
]
References = Annotated[
    list[str],
    typer.Argument(
        metavar="SPEC|REPOSITORY...",
        help="NAME[:SIZE][:QUANTIZATION] of the catalogue, or a repository: owner/name.",
    ),
]
