"""What HTTP itself refuses, before a route has seen the request."""

from codeserve.engines.errors import ClientError


class UnknownPath(ClientError):
    """No route has this path."""


class MethodNotAllowed(ClientError):
    """The path has routes, but none for this method."""


class ForeignPage(ClientError):
    """A web page of another origin wants to change the server."""

    type = "permission_error"
    code = "foreign_origin"


class AuthenticationFailed(ClientError):
    """The request has no API key, or none that is valid."""

    type = "authentication_error"
    code = "invalid_api_key"


class PermissionDenied(ClientError):
    """The API key does not allow this."""

    type = "permission_error"
    code = "insufficient_permissions"


class KeyLimitReached(ClientError):
    """The API key has used up what it may."""

    type = "requests"
    code = "rate_limit_exceeded"


class KeyTokensUsedUp(KeyLimitReached):
    """The API key has used up its tokens."""

    type = "tokens"


class UnsupportedMediaType(ClientError):
    """The body is announced as something other than plain JSON."""

    code = "unsupported_media_type"
