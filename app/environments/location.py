"""Where the engines' environments are."""

import os
from pathlib import Path


def default_folder() -> Path:
    """The folder of all environments unless the settings name another one."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "codeserve" / "engines"
