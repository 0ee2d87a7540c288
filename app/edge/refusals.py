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


class UnsupportedMediaType(ClientError):
    """The body is announced as something other than plain JSON."""

    code = "unsupported_media_type"
