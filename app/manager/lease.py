"""What a request holds while a model serves it."""

from collections.abc import Sequence

from codeserve.app.manager.admission import Timeouts
from codeserve.app.manager.leases import Leases
from codeserve.app.manager.replicas import Replicas
from codeserve.engines.errors import QueueFull
from codeserve.engines.types import EngineInfo, TextRequest
from codeserve.engines.worker.client import TextStream
from codeserve.engines.worker.wire import Tokenized
from codeserve.model_specs.prompt import PromptFormat
from codeserve.model_specs.segments import PromptSegments


class LeasedModel:
    """A ready model; it is not unloaded while it is leased, except when the time to drain is up."""

    def __init__(self, model_id: str, info: EngineInfo, replicas: Replicas, leases: Leases) -> None:
        """Raises SpecError if the prompt format of the weights is not valid."""
        self.id = model_id
        self.info = info
        self.prompts = PromptFormat(info.variant)
        self._replicas = replicas
        self._leases = leases

    @property
    def timeouts(self) -> Timeouts:
        """How long its requests may take."""
        return self._leases.admission.timeouts

    @property
    def most_requests(self) -> int:
        """Requests of the engine's, running and waiting, that it takes at once."""
        return self._leases.admission.most

    async def generate(self, request: TextRequest) -> TextStream:
        """Have ``request`` queued; the stream of what it adds.

        Raises ClientError where it is refused, and ServerError when the engine breaks or its
        worker goes away.
        """
        try:
            return await self._replicas.choose(request).generate(request)
        except QueueFull as full:
            full.retry_after = self._leases.retry_after
            raise

    async def tokenize(self, prompt: PromptSegments) -> Tokenized:
        """The tokens of ``prompt``. Raises what ``generate`` raises."""
        return await self._replicas.client().tokenize(prompt)

    async def detokenize(self, token_ids: Sequence[int]) -> str:
        """The text of ``token_ids``, control tokens by their names. Raises what ``generate``
        raises."""
        return await self._replicas.client().detokenize(token_ids)
