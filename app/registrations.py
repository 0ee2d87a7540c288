"""Model families that users register while the server runs."""

import os
import re
from collections.abc import Collection
from pathlib import Path
from threading import Lock

from codeserve.app.durable_file import sync_folder, write_durably
from codeserve.app.server_settings import ServerSettings
from codeserve.model_specs.catalog import SHIPPED, Catalog
from codeserve.model_specs.errors import SpecError
from codeserve.model_specs.family_file import parse_family
from codeserve.model_specs.spec import ModelFamily

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Registrations:
    """The families of one folder, in the catalogue and on the disk alike.

    May be used from any thread.
    """

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        """``catalog`` has the folder's families already, as ``load_catalog`` gives it."""
        self.folder = folder
        self._catalog = catalog
        self._changing = Lock()

    def families(self) -> tuple[ModelFamily, ...]:
        """Those of the folder; what is shipped is not among them."""
        return tuple(
            family for family in self._catalog.families if self._path(family.model_name) is not None
        )

    def register(self, definition: str) -> ModelFamily:
        """Add the family that ``definition`` (the text of a family file) describes, for good.

        Raises SpecError for a text that is no sound family, for a name that is taken, and where
        the file cannot be written; then nothing has changed.
        """
        with self._changing:
            family = parse_family(definition, "definition", (self.folder, SHIPPED))
            name = family.model_name
            if not NAME.fullmatch(name):
                raise SpecError(
                    f"model_name: {name!r} cannot be registered; a name has letters, digits, dots, "
                    "hyphens and underscores, at most 100, and begins with a letter or digit"
                )
            self._check_free(name)
            path = self.folder / f"{name}.toml"
            try:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_durably(path, definition)
            except OSError as error:
                raise SpecError(f"{path}: {name} cannot be registered: {error.strerror}") from error
            self._catalog.add(family, path)
            return family

    def unregister(self, name: str, users: Collection[str] = ()) -> None:
        """Remove a registered family and its file. ``users``: ids of the launched models of it.

        Raises UnknownSpec for a name that there is not, and SpecError for a shipped family, for
        one in use, and where the file cannot be deleted; then nothing has changed.
        """
        with self._changing:
            self._catalog.family(name)
            path = self._path(name)
            if path is None:
                raise SpecError(f"{name} comes with codeserve and cannot be unregistered")
            if users:
                raise SpecError(
                    f"{name} cannot be unregistered while models of it are launched: "
                    f"{', '.join(users)}. Terminate them first."
                )
            try:
                path.unlink(missing_ok=True)
                sync_folder(self.folder)
            except OSError as error:
                raise SpecError(f"{path}: {name} cannot be removed: {error.strerror}") from error
            self._catalog.remove(name)

    def _path(self, name: str) -> Path | None:
        """The folder's file that defines the family; None for a family from elsewhere."""
        path = self._catalog.file(name)
        return path if path is not None and path.parent == self.folder else None

    def _check_free(self, name: str) -> None:
        known = {family.model_name.lower() for family in self._catalog.families}
        if (self.folder / f"{name}.toml").exists():
            raise SpecError(f"{name} is registered already; unregister it first")
        if name.lower() in known:
            raise SpecError(f"{name} is the name of another family; choose another model_name")


def families_folder(server: ServerSettings) -> Path:
    """Where families of the user's own are: the folder that the settings name, or the default."""
    if server.families is not None:
        return server.families
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "codeserve" / "families"


def load_catalog(server: ServerSettings) -> Catalog:
    """The shipped families and the user's. Raises SpecError."""
    folder = families_folder(server)
    return Catalog.load(*([folder] if server.families or folder.is_dir() else []))
