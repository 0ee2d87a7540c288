"""What one step yields for one chunk."""

from collections.abc import Sequence
from dataclasses import dataclass

from codeserve.engines.errors import ServingError
from codeserve.engines.types import TokenScore


@dataclass(frozen=True, slots=True)
class Outcome:
    """Tokens and scores, as far as the chunk asks for them."""

    token_ids: Sequence[int] = ()
    """The guesses that were right and the token sampled after them; none if nothing is sampled."""
    scores: Sequence[TokenScore] = ()
    """One for each of ``token_ids``."""
    prompt_scores: Sequence[TokenScore] = ()
    """Of the prompt's tokens that come after each token of the chunk."""
    error: ServingError | None = None
    """Why the sequence cannot go on, although the step went well; then no tokens are sampled."""
