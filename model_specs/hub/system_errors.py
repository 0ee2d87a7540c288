"""What goes wrong on this machine and between it and a hub, in the user's words."""

import errno

from codeserve.model_specs.errors import PullError


def explain_system(error: BaseException, hub: str, cache: str, endpoint: str) -> PullError:
    """``cache`` and ``endpoint`` are the environment variables that may help."""
    match error:
        case PullError():
            return error
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return PullError(
                f"The disk is full: free some space, or set {cache} to a folder on another disk.",
                code="no_space",
            )
        case OSError() if error.errno is not None and error.filename is not None:
            return PullError(f"{error.filename}: {error.strerror}.", code="disk")
        case _ if isinstance(error, OSError) or _is_of_transport(error):
            return PullError(
                f"{hub} cannot be reached ({type(error).__name__}: {error}). Check the network "
                f"and {endpoint}.",
                code="unreachable",
            )
        case _:
            return PullError(f"{hub}: {type(error).__name__}: {error}", code="client_error")


def _is_of_transport(error: BaseException) -> bool:
    """Whether the connection failed; releases of the libraries differ in their HTTP client."""
    return any(kind.__name__ == "TransportError" for kind in type(error).__mro__)
