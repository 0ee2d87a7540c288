"""What is asked of a hub: some files of one repository at one revision."""

import msgspec

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.spec import Hub, ModelSpec


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """Files of one repository at one revision of one hub."""

    hub: Hub
    repository: str
    """Repository on the hub, or the import name of a package."""
    revision: str | None = None
    """Commit, tag or branch; None: the hub's default branch."""
    files: tuple[str, ...] = ()
    """Names or glob patterns; none: a Hugging Face folder."""

    def __str__(self) -> str:
        place = f"{self.hub} {self.repository}"
        return f"{place} at {self.revision}" if self.revision else place


def artifacts(spec: ModelSpec, quantization: str, hub: Hub | None = None) -> tuple[Artifact, ...]:
    """The spec's sources, best first; only those of ``hub`` if given.

    Raises:
        PullError: the spec has no source on that hub.
    """
    found = tuple(
        Artifact(
            hub=source.hub,
            repository=source.model_id,
            revision=source.revision,
            files=(source.file.format(quantization=quantization),) if source.file else (),
        )
        for source in spec.sources
        if hub in (None, source.hub)
    )
    if not found:
        there = ", ".join(dict.fromkeys(source.hub for source in spec.sources))
        raise PullError(
            f"These weights are not known to be on {hub}; they are on: {there}.", code="not_found"
        )
    return found
