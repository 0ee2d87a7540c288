"""A family that a path names."""

from codeserve.engines.errors import NothingStored
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.errors import UnknownSpec
from codeserve.model_specs.spec import ModelFamily


def find_family(catalog: Catalog, model_name: str) -> ModelFamily:
    """The family of that name. Raises NothingStored, which names near ones and all."""
    try:
        return catalog.family(model_name)
    except UnknownSpec as error:
        raise NothingStored(error.message, param="model_name") from error
