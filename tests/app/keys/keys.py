"""Files of keys for tests."""

from pathlib import Path
from typing import Any

from codeserve.app.keys.key import ApiKey, digest_of
from codeserve.app.keys.key_file import changing


def add_key(path: Path, token: str, **fields: Any) -> ApiKey:
    """Put the key ``token`` into the file ``path``."""
    key = ApiKey(**{"id": f"id-{token}", "name": token, "digest": digest_of(token), **fields})
    with changing(path) as keys:
        keys.append(key)
    return key
