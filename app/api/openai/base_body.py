"""What every JSON object from a client has in common."""

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A JSON object from a client: wrong types are refused, unknown fields pass."""

    model_config = ConfigDict(
        extra="allow", strict=True, protected_namespaces=(), use_attribute_docstrings=True
    )
