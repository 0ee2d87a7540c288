"""Which part of the machine a worker gets."""

import msgspec


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """The GPUs and cores of one worker; None: all that this process may use."""

    gpus: tuple[int, ...] | None = None
    """Indices as the driver counts them; an empty tuple: none."""
    cores: tuple[int, ...] | None = None
    """CPU numbers as the kernel counts them."""


ANYWHERE = Placement()
