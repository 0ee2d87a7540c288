"""The keys of a server."""

import hmac
from collections.abc import Iterable

from codeserve.app.keys.key import ApiKey, digest_of


class Keyring:
    """Finds keys by what clients send."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self.keys = tuple(keys)

    def find(self, token: str) -> ApiKey | None:
        """The key that ``token`` is, valid or expired; None: it is none.

        Every key is compared, each in constant time, so that the time taken tells nothing.
        """
        digest = digest_of(token)
        found = None
        for key in self.keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found
