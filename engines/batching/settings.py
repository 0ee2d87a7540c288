"""What a loaded backend tells its scheduler, cache and drafting."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingSettings:
    """Limits and costs of one loaded model on this machine."""

    batch_tokens: int
    """The most tokens of one step."""
    sampled_rows: int
    """The most positions of one step after which a token can be sampled."""
    chunk_tokens: int | None = None
    """Compute every prompt in chunks of this size, so that its outcome depends on nothing else;
    None: in whatever chunks fit."""
    step_seconds: tuple[tuple[int, float], ...] = ()
    """Measured steps: tokens and seconds."""
    idle_rows: int | None = None
    """Batch rows after which an idle prefix is better off in host memory, because every row looks
    at every cell in use; None: looking costs nothing."""
    host_bytes: int = 0
    """The most host memory that evicted prefixes may take."""
    disk_folder: Path | None = None
    """Where evicted prefixes are kept for the next start; None: nowhere."""
    disk_bytes: int = 0
    """The most bytes of files in ``disk_folder``."""
