"""What models took when they were loaded here, remembered for the next time."""

from pathlib import Path


class Ledger:
    """Measured bytes by configuration."""

    def __init__(self, file: Path) -> None:
        self._file = file
