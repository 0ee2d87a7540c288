"""What a request's grammar allows next."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from codeserve.engines.errors import EngineFailure, InvalidRequest

if TYPE_CHECKING:
    from llguidance import LLMatcher


class GrammarMatcher:
    """One request's way through its grammar; made by ``GrammarCompiler``.

    After each ``accept``, ``compute`` finds what may come next, on any thread, while the engine
    computes a step; then ``constrain`` and ``mask`` are cheap. They compute what is missing. One
    thread at a time may use a matcher; different matchers are independent of each other.
    """

    def __init__(
        self,
        matcher: "LLMatcher",
        stop_ids: frozenset[int],
        vocab_size: int,
        rebuild: Callable[[], "LLMatcher"],
    ) -> None:
        """``matcher``: at the start; its copies elsewhere share its limits, so when these are
        reached, ``rebuild`` makes one of its own.
        """
        self._matcher = matcher
        self._stop_ids = stop_ids
        self._vocab_size = vocab_size
        self._rebuild: Callable[[], LLMatcher] | None = rebuild
        self._accepted: list[int] = []
        self._allowed: NDArray[np.bool_] | None = None
        self._stopped = False

    @property
    def is_finished(self) -> bool:
        """Whether nothing but a stop id may follow."""
        return self._stopped or (self._matcher.is_stopped() and self._matcher.is_accepting())

    def compute(self) -> None:
        """Find what may come next; releases the GIL for most of the time.

        Raises InvalidRequest (``invalid_grammar``) if the grammar turns out to be too complex, or
        to allow no continuation.
        """
        if self._allowed is not None:
            return
        bits = self._matcher.compute_bitmask()
        if self._matcher.is_error():
            self._start_over()
            bits = self._matcher.compute_bitmask()
        self._check()
        allowed = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")
        self._allowed = allowed[: self._vocab_size].view(np.bool_)

    def mask(self) -> NDArray[np.bool_]:
        """For each id of the vocabulary, whether it may come next. Not to be written to.

        When the output may end here every stop id is allowed; when it must, nothing else is. Other
        control tokens and padding rows never are. Raises as ``compute`` does.
        """
        self.compute()
        assert self._allowed is not None
        return self._allowed

    def constrain(self, logits: NDArray[np.float32]) -> None:
        """Set the logits of what may not come next to minus infinity; raises as ``compute``.

        ``logits``: one row, of the vocabulary's size.
        """
        np.copyto(logits, np.float32(-np.inf), where=~self.mask())

    def accept(self, token_id: int) -> None:
        """Go on behind ``token_id``; behind a stop id may come stop ids only.

        Raises EngineFailure if the grammar does not allow it here, and as ``compute`` does.
        """
        if not self.mask()[token_id]:
            raise EngineFailure(f"Token {token_id} was sampled against the request's grammar.")
        if token_id in self._stop_ids:
            self._stop()
            return
        self._allowed = None
        self._accepted.append(token_id)
        if not self._matcher.consume_token(token_id):
            self._start_over()
            self._check()

    def _stop(self) -> None:
        self._stopped = True
        self._allowed = np.zeros(self._vocab_size, np.bool_)
        self._allowed[list(self._stop_ids)] = True

    def _start_over(self) -> None:
        """What other requests did with the same grammar may have used up the limits."""
        if self._rebuild is not None:
            self._matcher, self._rebuild = self._rebuild(), None
            self._matcher.consume_tokens(self._accepted)

    def _check(self) -> None:
        if not self._matcher.is_error() and (
            self._matcher.is_accepting() or not self._matcher.is_stopped()
        ):
            return
        reason, *_ = self._matcher.get_error().splitlines() or ["NoExtension"]
        if reason.startswith("NoExtension"):
            message = "The grammar allows nothing here, not even an end."
        else:
            message = f"The grammar is too complex to go on with: {reason}"
        raise InvalidRequest(message, code="invalid_grammar")
