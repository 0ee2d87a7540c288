"""Which lane a request goes in."""

from collections.abc import Mapping

from codeserve.app.edge.refusals import PermissionDenied
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import Lane

HEADER = "X-Priority"
"""By which a client asks for another lane than its route's."""


def lane_of(headers: Mapping[str, str], usual: Lane, best: Lane) -> Lane:
    """The lane that ``headers`` ask for, or else the ``usual`` one of the route, as far as it is
    no better than the ``best`` that the client may have.

    Raises InvalidRequest for what is no lane, and PermissionDenied for a better one.
    """
    if HEADER not in headers:
        return max(usual, best)
    name = headers[HEADER]
    lanes = {lane.name.lower(): lane for lane in Lane}
    asked = lanes.get(name.strip().lower())
    if asked is None:
        raise InvalidRequest(
            f"The header {HEADER} is {name!r}, but must be one of {', '.join(lanes)}.",
            param=HEADER,
            code="invalid_value",
        )
    if asked < best:
        raise PermissionDenied(
            f"The header {HEADER} asks for the lane {asked.name.lower()}, but the best one that "
            f"this API key may use is {best.name.lower()}.",
            param=HEADER,
        )
    return asked
