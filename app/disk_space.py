"""How full the disks are that weights are kept on."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from codeserve.model_specs.hub.huggingface import HuggingFace
from codeserve.model_specs.hub.modelscope import cache_folder
from codeserve.model_specs.spec import Hub


@dataclass(frozen=True)
class DiskSpace:
    """Of one disk, in bytes."""

    free: int
    size: int

    @classmethod
    def at(cls, folder: Path) -> Self:
        """Of the disk that ``folder`` is on, or will be once it is made. Raises OSError."""
        absolute = folder.absolute()
        existing = next(one for one in (absolute, *absolute.parents) if one.exists())
        usage = shutil.disk_usage(existing)
        return cls(free=usage.free, size=usage.total)


def weight_folders(store: Path) -> dict[str, Path]:
    """Where downloads and imports go, by who keeps them there: ``store`` and the hubs' caches."""
    return {
        "store": store,
        Hub.HUGGINGFACE: HuggingFace().cache,
        Hub.MODELSCOPE: cache_folder(),
    }
