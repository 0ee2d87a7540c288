"""What ``codeserve doctor`` says of folders and of what was pulled."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codeserve.app.disk_space import DiskSpace, weight_folders
from codeserve.model_specs.spec import Hub

if TYPE_CHECKING:
    from codeserve.app.cli.library import Library

LITTLE_SPACE = 5e9
"""Bytes below which hardly any model fits on a disk."""


def store_report(library: "Library") -> dict[str, Any]:
    """The folders that take space, what is free there, and what was pulled."""
    weights = library.store.stored()
    return {
        "folders": [
            {"what": what, "path": str(path), "free_bytes": DiskSpace.at(path).free}
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
    folders = weight_folders(library.server.store)
    return {
        "Hugging Face's cache": folders[Hub.HUGGINGFACE],
        "ModelScope's cache": folders[Hub.MODELSCOPE],
        "store": folders["store"],
        "engines": library.server.engines,
    }
