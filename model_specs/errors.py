"""What can be wrong with a model's description or with a prompt for it."""


class SpecError(ValueError):
    """A family file is invalid. The message names the file, the place and what is allowed there."""


class UnknownSpec(LookupError):
    """No family, spec or quantisation of that name; the message lists what there is."""

    def __init__(self, message: str, *, param: str = "model_name") -> None:
        """``message`` names what was asked for and what can be had; ``param`` is the setting at
        fault."""
        super().__init__(message)
        self.message = message
        self.param = param


class PromptError(ValueError):
    """A prompt that this model cannot take, such as a suffix where there is no FIM."""

    def __init__(self, message: str, *, param: str, code: str = "invalid_value") -> None:
        """``param`` is the request field at fault, ``code`` the machine-readable reason."""
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


class PullError(RuntimeError):
    """Weights could not be fetched; the message says from where, why, and what to do."""

    def __init__(
        self, message: str, *, code: str = "hub_error", retry_after: float | None = None
    ) -> None:
        """``code`` is machine-readable; ``retry_after`` the hub's own wish, in seconds."""
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class PullCancelled(PullError):
    """Raised by a progress callback to end what it is told about; nothing is recorded."""

    def __init__(self, message: str = "The download was cancelled.") -> None:
        """Code ``cancelled``."""
        super().__init__(message, code="cancelled")


class WeightsError(ValueError):
    """A file of weights cannot be read, is cut short or is no such file; the message names it."""
