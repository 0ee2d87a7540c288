"""Every error that a client or an operator can meet, drawn whole:

    ServingError
    ├── ClientError                the request is at fault
    │   ├── InvalidRequest         400
    │   │   └── ContextLengthExceeded
    │   ├── UnsupportedFeature     400  well formed, but this model or server cannot do it
    │   ├── InsufficientMemory     400  the model does not fit this machine
    │   ├── ModelNotFound          404
    │   ├── NothingStored          404
    │   ├── RequestTooLarge        413
    │   └── QueueFull              429
    └── ServerError                the server is at fault
        ├── EngineFailure          500  the engine broke while it served this request
        ├── ModelUnavailable       503  not loaded, loading, draining or failed
        ├── ServerDraining         503  the server is being stopped
        ├── EngineRestarted        503  the worker crashed or hung and is being replaced
        ├── DeadlineExceeded       504
        └── ModelLoadError         a model could not be loaded; its state becomes FAILED

Each class names OpenAI's ``type`` and ``code``; HTTP statuses are the edge's table
(``codeserve.app.edge.errors``). Errors cross the worker's socket by class name.
"""


class ServingError(Exception):
    """Base of all errors with a message meant for the client."""

    type: str = "server_error"
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """``param``: the request field at fault. ``retry_after``: seconds to wait for a retry."""
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or type(self).code
        self.retry_after = retry_after


class ClientError(ServingError):
    """The request is at fault; the same request will fail again."""

    type = "invalid_request_error"


class InvalidRequest(ClientError):
    """A field is malformed, of the wrong type or out of range."""


class ContextLengthExceeded(InvalidRequest):
    """The prompt alone fills the model's context."""

    code = "context_length_exceeded"

    @classmethod
    def of(
        cls, prompt_tokens: int, context_length: int, prompt_name: str = "prompt"
    ) -> "ContextLengthExceeded":
        """The error for a prompt of ``prompt_tokens`` in a window of ``context_length`` tokens;
        ``prompt_name`` is the field that the client sent it in."""
        full = prompt_tokens == context_length
        room = ", and at least one must remain for the completion" if full else ""
        return cls(
            f"This model's maximum context length is {context_length} tokens. However, your "
            f"{prompt_name} resulted in {prompt_tokens} tokens{room}. Please reduce the length of "
            f"the {prompt_name}.",
            param=prompt_name,
        )


class UnsupportedFeature(ClientError):
    """The request is well formed, but this model or this server cannot do it."""

    code = "unsupported_parameter"


class InsufficientMemory(ClientError):
    """The model needs more memory than this machine, or the server's limit, has in all."""

    code = "insufficient_memory"


class ModelNotFound(ClientError):
    """No model is served under the requested name."""

    code = "model_not_found"


class NothingStored(ClientError):
    """The server keeps nothing under the requested id."""

    code = "not_found"


class RequestTooLarge(ClientError):
    """The request body exceeds the server's limit."""

    code = "request_too_large"


class QueueFull(ClientError):
    """As many requests as allowed wait for this model."""

    type = "requests"
    code = "rate_limit_exceeded"


class ServerError(ServingError):
    """The server is at fault; the same request may work later."""


class EngineFailure(ServerError):
    """The engine broke while it served this request."""

    code = "engine_failure"


class ModelUnavailable(ServerError):
    """The model is known but not serving: loading, draining or failed."""

    code = "model_unavailable"


class ServerDraining(ServerError):
    """The server is being stopped; another one, or the next, may serve the request."""

    code = "server_draining"


class EngineRestarted(ServerError):
    """The worker crashed or hung and is being replaced; the request was lost."""

    code = "engine_restarted"


class DeadlineExceeded(ServerError):
    """The request ran out of its time."""

    code = "deadline_exceeded"


class ModelLoadError(ServerError):
    """A model could not be loaded or did not prove itself."""

    code = "model_load_failed"
