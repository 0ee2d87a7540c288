"""What clients ask to see whether a server is there."""

from importlib.metadata import version

from codeserve.app.api.ollama.model_types import Version

OLLAMA_VERSION = "0.12.6"
"""The Ollama whose API these routes speak. Clients refuse what is older than they know."""


async def show_version() -> Version:
    """The version of Ollama that this server stands in for, and its own."""
    return Version(version=OLLAMA_VERSION, codeserve=version("codeserve"))


async def greet() -> str:
    """Clients ask for this page to see whether a server is there."""
    return "codeserve is running"
