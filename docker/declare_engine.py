"""Declares an engine's environment that the image's own layers have made, so that it is found.

    python declare_engine.py transformers cpu

``codeserve engines install`` would make the environment and declare it in one act; an image keeps
the packages in a layer that a change of codeserve leaves as it is.
"""

import os
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from codeserve.app.environments.environment import Environment, Marker
from codeserve.app.environments.needs import NEEDS

engine, device = sys.argv[1:]
environment = Environment(Path(os.environ.get("CODESERVE_ENGINES", "/opt/engines")), engine)
build = next(build for name, build in NEEDS[engine].builds.items() if name == device)
if missing := environment.packages.missing(environment.needs):
    sys.exit(f"{environment.folder} lacks {', '.join(missing)}.")
environment.complete(
    Marker(
        build=build.device,
        fingerprint=build.fingerprint,
        codeserve=version("codeserve"),
        installed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=0,
        bytes=environment.size(),
    )
)
