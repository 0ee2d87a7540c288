"""Two models' work on one prompt, beside each other."""

import math
from collections.abc import Sequence

import msgspec

from codeserve.app.api.generation.logprobs import finite
from codeserve.app.parity.continuation import Continuation
from codeserve.engines.types import PromptReport, TokenLogprobs

SHOWN_TOKENS = 6
"""Before a parting, and from there on."""

BYTES = "bytes:\\x"
"""So begins the name of a token that is only part of a character."""


class Likelihood(msgspec.Struct, frozen=True):
    """The log-probability that a model gives to a token, in nats."""

    logprob: float
    at_most: bool = False
    """The token is not among the alternatives that the engine gave: it is no likelier than the
    last of those."""


class Rival(msgspec.Struct, frozen=True):
    """One of the two tokens with which texts part."""

    token_id: int
    token: str
    reference: Likelihood
    model: Likelihood


class Parting(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model first chooses another token than the reference."""

    position: int
    """Index of the token in the continuation."""
    before: tuple[str, ...]
    """The last tokens that both have chosen."""
    reference_goes_on: tuple[str, ...]
    model_goes_on: tuple[str, ...]
    choices: tuple[Rival, Rival] | None
    """The reference's token and the model's; None: one of the two has ended there, at a token that
    is no end to the other."""
    margin: float | None
    """What each model prefers its own token by, added up, in nats: a parting of two models whose
    log-probabilities differ by at most x has at most 2 x. At least so much, where a likelihood is
    only known to be at most so high; None: there are no choices."""

    @property
    def is_bound(self) -> bool:
        """Whether ``margin`` is only known to be at least so much."""
        return any(choice.reference.at_most for choice in self.choices or ())

    def is_near_tie(self, limit: float) -> bool:
        """Whether differences that add up to ``limit`` can be the reason."""
        return self.margin is not None and not self.is_bound and self.margin <= limit


class PromptDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Where the token ids of one prompt differ first; None: the prompt has ended there."""

    position: int
    reference_id: int | None
    model_id: int | None
    reference_token: str | None
    model_token: str | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """How a model's work on a prompt differs from the reference's."""

    parting: Parting | None
    """None: the same text, to the token that ends it."""
    differences: tuple[float, ...]
    """Of the log-probabilities of each of the reference's tokens, read as a prompt: the model's
    minus the reference's."""
    divergences: tuple[float, ...]
    """The least Kullback-Leibler divergence of the model from the reference at each of them, in
    nats: what the alternatives that both engines gave already make it."""
    same_likeliest: int
    """At how many of them both models hold the same token the likeliest."""


def prompt_difference(ours: PromptReport, theirs: PromptReport) -> PromptDifference | None:
    """Where a prompt has become other ids in a model, ``theirs``, than in the reference; None:
    nowhere."""
    position = _first_difference(ours.token_ids, theirs.token_ids)
    if position is None:
        return None
    return PromptDifference(
        position=position,
        reference_id=_at(ours.token_ids, position),
        model_id=_at(theirs.token_ids, position),
        reference_token=_name_at(ours.spellings, position),
        model_token=_name_at(theirs.spellings, position),
    )


def compare(reference: Continuation, model: Continuation) -> Comparison:
    """How ``model`` differs from ``reference``, whose tokens it has read."""
    pairs = list(zip(reference.reading, model.reading, strict=True))
    return Comparison(
        parting=_parting(reference, model),
        differences=tuple(
            finite(theirs.chosen.logprob) - finite(ours.chosen.logprob) for ours, theirs in pairs
        ),
        divergences=tuple(least_divergence(ours, theirs) for ours, theirs in pairs),
        same_likeliest=sum(
            ours.top[0].token_id == theirs.top[0].token_id for ours, theirs in pairs
        ),
    )


def with_itself(reference: Continuation) -> Comparison:
    """How the reference's scores of its tokens differ when it reads them as a prompt from those
    when it generated them: what the shape of a batch changes."""
    generated = msgspec.structs.replace(reference, reading=reference.tokens)
    return compare(generated, reference)


def least_divergence(reference: TokenLogprobs, model: TokenLogprobs) -> float:
    """A lower bound of the Kullback-Leibler divergence of ``model`` from ``reference`` in nats.

    It is the divergence over the tokens whose probability both have told, and all others as one.
    """
    ours, theirs = _known(reference), _known(model)
    shared = ours.keys() & theirs.keys()
    told = sum(math.exp(ours[i]) * (ours[i] - theirs[i]) for i in shared)
    rest = 1 - sum(math.exp(ours[i]) for i in shared)
    rest_of_model = 1 - sum(math.exp(theirs[i]) for i in shared)
    if rest > 0 and rest_of_model > 0:
        told += rest * math.log(rest / rest_of_model)
    return max(0.0, told)


def token_name(spelling: bytes) -> str:
    """A token's text; its bytes where it is only part of a character."""
    try:
        return spelling.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in spelling)


def _known(token: TokenLogprobs) -> dict[int, float]:
    """Id to log-probability of what ``token`` tells."""
    known = {other.token_id: finite(other.logprob) for other in token.top}
    return known | {token.chosen.token_id: finite(token.chosen.logprob)}


def _parting(reference: Continuation, model: Continuation) -> Parting | None:
    position = _first_difference(reference.own_ids, model.own_ids)
    if position is None:
        return None
    ours, theirs = (
        [token_name(token.chosen.spelling) for token in one.tokens] for one in (reference, model)
    )
    choices = _choices(reference, model, position)
    return Parting(
        position=position,
        before=tuple(ours[max(0, position - SHOWN_TOKENS) : position]),
        reference_goes_on=tuple(ours[position : position + SHOWN_TOKENS]),
        model_goes_on=tuple(theirs[position : position + SHOWN_TOKENS]),
        choices=choices,
        margin=None if choices is None else _margin(*choices),
    )


def _choices(
    reference: Continuation, model: Continuation, position: int
) -> tuple[Rival, Rival] | None:
    if position >= min(len(reference.tokens), len(model.tokens)):
        return None
    ours, theirs = reference.tokens[position], model.tokens[position]
    read = model.reading[position].chosen
    return (
        Rival(
            ours.chosen.token_id,
            token_name(ours.chosen.spelling),
            Likelihood(ours.chosen.logprob),
            Likelihood(_known(theirs).get(read.token_id, read.logprob)),
        ),
        Rival(
            theirs.chosen.token_id,
            token_name(theirs.chosen.spelling),
            _likelihood(ours, theirs.chosen.token_id),
            Likelihood(theirs.chosen.logprob),
        ),
    )


def _margin(ours: Rival, theirs: Rival) -> float:
    of_reference = ours.reference.logprob - theirs.reference.logprob
    return of_reference + theirs.model.logprob - ours.model.logprob


def _likelihood(token: TokenLogprobs, token_id: int) -> Likelihood:
    """What ``token`` tells of the likelihood of ``token_id`` in its place."""
    known = _known(token)
    if token_id in known:
        return Likelihood(known[token_id])
    return Likelihood(min(known.values()), at_most=True)


def _first_difference(first: Sequence[int], second: Sequence[int]) -> int | None:
    """The first position at which the two differ; None: they are the same."""
    for position, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return position
    return None if len(first) == len(second) else min(len(first), len(second))


def _at(values: Sequence[int], position: int) -> int | None:
    return values[position] if position < len(values) else None


def _name_at(spellings: Sequence[bytes], position: int) -> str | None:
    return token_name(spellings[position]) if position < len(spellings) else None
