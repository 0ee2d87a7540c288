"""Files of keys for tests."""

from pathlib import Path
from typing import Any

from codeserve.app.keys.key import ApiKey, digest_of
from codeserve.app.keys.key_file import changing


def make_key(token: str, **fields: Any) -> ApiKey:
    """What is kept of the key ``token``."""
    key_id = token.replace(" ", "-")
    return ApiKey(**{"id": key_id, "name": token, "digest": digest_of(token), **fields})


def add_key(path: Path, token: str, **fields: Any) -> ApiKey:
    """Put the key ``token`` into the file ``path``."""
    key = make_key(token, **fields)
    with changing(path) as keys:
        keys.append(key)
    return key
