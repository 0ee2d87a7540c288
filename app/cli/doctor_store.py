"""What ``codeserve doctor`` says of folders and of what was pulled."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codeserve.app.cli.library import Library

LITTLE_SPACE = 5e9
"""Bytes below which hardly any model fits on a disk."""


def store_report(library: "Library") -> dict[str, Any]:
    """The folders that take space, what is free there, and what was pulled."""
    weights = library.store.stored()
    return {
        "folders": [
            {"what": what, "path": str(path), "free_bytes": _free(path)}
            for what, path in _folders(library).items()
        ],
        "pulled": [
            {
                "name": library.title(one),
                "hub": str(one.artifact.hub),
                "bytes": one.bytes,
                "path": str(one.path),
                "unchanged": one.unchanged,
            }
            for one in weights
        ],
    }


def store_findings(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Weights that have changed since they were pulled, and disks that are nearly full."""
    for one in report["pulled"]:
        if not one["unchanged"]:
            yield {
                "broken": False,
                "what": f"{one['name']} has changed since it was pulled.",
                "remedy": "`codeserve verify --repair` fetches what is damaged.",
            }
    for folder in report["folders"]:
        if folder["free_bytes"] < LITTLE_SPACE:
            yield {
                "broken": False,
                "what": f"{folder['path']} has {folder['free_bytes'] / 1e9:.1f} GB free.",
                "remedy": "`codeserve cached` shows what takes space, `codeserve rm` deletes it.",
            }


def store_lines(report: Mapping[str, Any]) -> dict[str, str]:
    """A line for each folder and for each model that was pulled."""
    folders = {
        folder["what"]: f"{folder['path']} ({folder['free_bytes'] / 1e9:.1f} GB free)"
        for folder in report["folders"]
    }
    pulled = {
        one["name"]: f"{one['bytes'] / 1e9:.2f} GB"
        + ("" if one["unchanged"] else "; changed since it was pulled")
        for one in report["pulled"]
    }
    return {**folders, **pulled}


def _folders(library: "Library") -> dict[str, Path]:
    from huggingface_hub import constants

    from codeserve.model_specs.hub.modelscope import cache_folder

    return {
        "Hugging Face's cache": Path(constants.HF_HUB_CACHE),
        "ModelScope's cache": cache_folder(),
        "store": library.server.store,
        "engines": library.server.engines,
    }


def _free(path: Path) -> int:
    """Bytes free where ``path`` is or will be."""
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(existing).free
