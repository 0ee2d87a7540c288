"""What can be wrong with a model's description or with a prompt for it."""


class SpecError(ValueError):
    """A family file is invalid. The message names the file, the place and what is allowed there."""


class UnknownSpec(LookupError):
    """No family, spec or quantisation of that name; the message lists what there is."""

    def __init__(self, message: str) -> None:
        """``message`` names what was asked for and what can be had."""
        super().__init__(message)
        self.message = message


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
