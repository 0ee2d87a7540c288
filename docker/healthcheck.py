"""Exits with 0 if the server in this container can take requests: ``/readyz`` answers 200.

``HEALTHCHECK_URL`` names another address, such as ``https://127.0.0.1:8000/livez``. The certificate
of a server in the same container need not be for that name, so it is not checked.
"""

import os
import ssl
import sys
from urllib.error import URLError
from urllib.request import urlopen

URL = os.environ.get("HEALTHCHECK_URL", "http://127.0.0.1:8000/readyz")
SECONDS = 4

here = ssl.create_default_context()
here.check_hostname = False
here.verify_mode = ssl.CERT_NONE
try:
    with urlopen(URL, timeout=SECONDS, context=here if URL.startswith("https:") else None) as reply:
        sys.stdout.write(reply.read(1000).decode(errors="replace"))
except (OSError, URLError) as error:
    sys.exit(f"{URL}: {error}")
