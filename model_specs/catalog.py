"""The models that can be launched, read from family files."""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import resources
from pathlib import Path

import msgspec

from codeserve.model_specs.errors import SpecError, UnknownSpec
from codeserve.model_specs.family_file import read_family
from codeserve.model_specs.sizes import FileSize
from codeserve.model_specs.spec import ModelFamily, ModelFormat, ModelSpec, Variant

SHIPPED = Path(str(resources.files("codeserve.model_specs")))
"""The folder of the families, vocabularies and templates that come with codeserve."""


class Selection(msgspec.Struct, frozen=True):
    """One spec of the catalogue with a quantisation: everything needed to get and launch it."""

    family: ModelFamily
    spec: ModelSpec
    variant: Variant
    quantization: str

    @property
    def file_size(self) -> FileSize | None:
        """Size of the GGUF file; None for other formats or if unknown."""
        return self.family.file_size(self.spec, self.quantization)


class Catalog:
    """Families by name: the shipped ones and the user's."""

    def __init__(self, families: Iterable[ModelFamily]) -> None:
        self._families = {family.model_name: family for family in families}
        self._files: dict[str, Path] = {}

    @classmethod
    def load(cls, *folders: Path) -> "Catalog":
        """Read every ``*.toml`` of the shipped families and of ``folders``.

        Raises:
            SpecError: a folder or file cannot be read, a file is invalid, or two files define the
                same family.
        """
        catalog = cls(())
        for folder in (SHIPPED / "families", *folders):
            if not folder.is_dir():
                raise SpecError(f"{folder}: not a folder of family files")
            for path in sorted(folder.glob("*.toml"), key=lambda file: file.stem):
                catalog.add(read_family(path, SHIPPED), path)
        return catalog

    def add(self, family: ModelFamily, path: Path) -> None:
        """Add a family that the file ``path`` defines. Raises SpecError if its name is taken."""
        name = family.model_name
        if name in self._families:
            first = self._files.get(name, "another family")
            raise SpecError(f"{path}: {name} is already defined by {first}")
        self._families = {**self._families, name: family}
        self._files = {**self._files, name: path}

    def remove(self, name: str) -> None:
        """Forget a family; what has been selected of it stays as it is. Raises UnknownSpec."""
        self.family(name)
        self._families = {key: one for key, one in self._families.items() if key != name}
        self._files = {key: file for key, file in self._files.items() if key != name}

    def file(self, name: str) -> Path | None:
        """The file that defines a family; None for one that was not read from a file.

        Raises UnknownSpec.
        """
        return self._files.get(self.family(name).model_name)

    @property
    def families(self) -> tuple[ModelFamily, ...]:
        """Every family, shipped ones first."""
        return tuple(self._families.values())

    def family(self, name: str) -> ModelFamily:
        """The family of that name; UnknownSpec names near ones, or all."""
        if name in self._families:
            return self._families[name]
        raise UnknownSpec(_unknown("model", name, self._families))

    def variants(self, family: str | None = None) -> tuple[Variant, ...]:
        """The variants of one family or of all."""
        families = self.families if family is None else (self.family(family),)
        return tuple(variant for one in families for variant in one.variants)

    def select(
        self,
        model_name: str,
        *,
        size_in_billions: str | float | None = None,
        model_format: str | None = None,
        quantization: str | None = None,
    ) -> Selection:
        """The spec that these names mean.

        The size may be written ``1_3``, ``1.3`` or as a number. Omitted parts: the family's only
        size; ``ggufv2`` where there is one, else the only format; the spec's default quantisation.

        Raises:
            UnknownSpec: there is no such spec, or an omitted part has no default. The message
                lists what can be chosen.
        """
        family = self.family(model_name)
        size = _choose(
            "size_in_billions",
            f"size of {model_name}",
            None if size_in_billions is None else str(size_in_billions).replace(".", "_"),
            [spec.size_in_billions for spec in family.specs],
        )
        specs = {
            str(spec.model_format): spec for spec in family.specs if spec.size_in_billions == size
        }
        default = ModelFormat.GGUF if ModelFormat.GGUF in specs else None
        chosen = _choose(
            "model_format", f"format of {model_name} {size}", model_format or default, specs
        )
        spec = specs[chosen]
        return Selection(
            family,
            spec,
            family.variant(spec.variant),
            _choose(
                "quantization",
                f"quantization of {model_name} {size} {chosen}",
                quantization or spec.default_quantization,
                spec.quantizations,
            ),
        )


def _choose(param: str, what: str, asked: str | None, choices: Iterable[str]) -> str:
    names = list(dict.fromkeys(choices))
    if asked is None and len(names) == 1:
        return names[0]
    if asked is None:
        raise UnknownSpec(f"No {what} was chosen; there are {', '.join(names)}.", param=param)
    if asked not in names:
        raise UnknownSpec(_unknown(what, asked, names), param=param)
    return asked


def _unknown(what: str, asked: str, choices: Iterable[str]) -> str:
    names = list(choices)
    near = get_close_matches(asked, names, n=3, cutoff=0.6)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"There is no {what} called {asked!r}.{hint} There are {', '.join(names)}."
