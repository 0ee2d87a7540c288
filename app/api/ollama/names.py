"""Model names as Ollama's clients write them."""

from codeserve.app.manager.manager import ModelManager

DEFAULT_TAG = ":latest"
"""What clients append to a name without a tag."""


def served_id(manager: ModelManager, name: str) -> str:
    """The id of the model that ``name`` means; a name of no model is returned as it is."""
    untagged = name.removesuffix(DEFAULT_TAG)
    ids = {status.id for status in manager.models()}
    return untagged if name not in ids and untagged in ids else name
