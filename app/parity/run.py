"""Models that are loaded one after the other and asked the same."""

from collections.abc import Callable, Sequence

import msgspec

from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelState
from codeserve.app.parity.continuation import Continuation, Examiner
from codeserve.app.parity.models import Candidate
from codeserve.app.parity.prompts import Prompt
from codeserve.engines.errors import ClientError, ServingError
from codeserve.engines.types import EngineInfo
from codeserve.model_specs.errors import PromptError

Notify = Callable[[str], None]
"""Is told what happens now."""

UNSUITED = ("chat_not_supported", "fim_not_supported")
"""Codes of the refusals of models that were not trained for a kind of prompt."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a model cannot take a prompt."""

    reason: str
    unsuited: bool = False
    """The model was not trained for prompts of this kind."""

    @classmethod
    def of(cls, error: PromptError | ClientError) -> "Refusal":
        """The refusal that ``error`` tells of."""
        return cls(error.message, error.code in UNSUITED)


Result = Continuation | Refusal


class ModelRun(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one model."""

    name: str
    info: EngineInfo | None = None
    """None: it could not be loaded."""
    error: str | None = None
    """Why it could not be loaded, or broke."""
    log_tail: tuple[str, ...] = ()
    """What its worker wrote before the error."""
    results: tuple[Result | None, ...] = ()
    """One for each prompt, without an error; None where the reference refused."""


def reference_of(runs: Sequence[ModelRun]) -> ModelRun | None:
    """The first model that worked; the others are compared with it."""
    return next((run for run in runs if run.error is None), None)


class Parity:
    """Asks models the same prompts, so that their answers can be compared with the first's."""

    def __init__(
        self, manager: ModelManager, prompts: Sequence[Prompt], max_tokens: int, seed: int | None
    ) -> None:
        """``manager`` launches and ends the models. ``max_tokens`` of each continuation;
        ``seed``: sample with it, too, twice."""
        self._manager = manager
        self._prompts = prompts
        self._max_tokens = max_tokens
        self._seed = seed

    async def run(self, candidates: Sequence[Candidate], notify: Notify) -> list[ModelRun]:
        """Load one model, ask it everything, end it, and go on with the next."""
        runs: list[ModelRun] = []
        for candidate in candidates:
            runs.append(await self._run(candidate, reference_of(runs), notify))
        return runs

    async def _run(
        self, candidate: Candidate, reference: ModelRun | None, notify: Notify
    ) -> ModelRun:
        name, model_id = candidate.name, candidate.settings.id
        notify(f"{name}: loading")
        try:
            await self._manager.launch(candidate.settings)
        except ServingError as error:
            return ModelRun(name=name, error=error.message)
        try:
            status = await self._manager.wait_ready(model_id)
            if status.state is not ModelState.READY:
                return ModelRun(name=name, error=status.error, log_tail=status.log_tail)
            async with self._manager.lease(model_id) as model:
                results = await self._ask(
                    model, reference, lambda doing: notify(f"{name}: {doing}")
                )
            return ModelRun(name=name, info=status.info, results=tuple(results))
        except ServingError as error:
            status = self._manager.status(model_id)
            return ModelRun(
                name=name, info=status.info, error=error.message, log_tail=status.log_tail
            )
        finally:
            await self._manager.terminate(model_id)

    async def _ask(
        self, model: LeasedModel, reference: ModelRun | None, notify: Notify
    ) -> list[Result | None]:
        """The model's results. Raises ServerError when it breaks."""
        examiner = Examiner(model, self._max_tokens, self._seed)
        results: list[Result | None] = []
        for index, prompt in enumerate(self._prompts):
            notify(f"prompt {index + 1} of {len(self._prompts)}")
            of_reference = None if reference is None else reference.results[index]
            if isinstance(of_reference, Refusal):
                results.append(None)
                continue
            try:
                results.append(await examiner.examine(prompt, of_reference))
            except (PromptError, ClientError) as error:
                results.append(Refusal.of(error))
        return results
