"""Log-probabilities as JSON can say them."""

LEAST_LOGPROB = -9999.0
"""What OpenAI writes for a token that cannot be."""


def finite(logprob: float) -> float:
    """``logprob``, which JSON must be able to write: neither infinite nor NaN."""
    # Of two numbers max takes the first unless the second is greater, which NaN is not.
    return max(LEAST_LOGPROB, logprob)
