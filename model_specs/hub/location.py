"""Where the record of pulled weights is kept."""

import os
from pathlib import Path


def default_store() -> Path:
    """The store's folder unless the settings name another one."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "codeserve" / "models"
