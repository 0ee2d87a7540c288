"""Proof that weights speak the prompts of their variant, token by token."""

from collections.abc import Callable, Iterator, Sequence

from codeserve.model_specs.errors import PromptError, SpecError
from codeserve.model_specs.prompt import PromptFormat
from codeserve.model_specs.segments import Content, PromptSegments
from codeserve.model_specs.spec import Variant

Encode = Callable[[PromptSegments], list[int]]
Decode = Callable[[Sequence[int]], str]


def prove(variant: Variant, encode: Encode, decode: Decode) -> list[str]:
    """Run the variant's golden vectors; one sentence per failure, none if it is proven.

    Beyond the vectors: texts come back from their ids, and no control token is ever shown.
    """
    try:
        prompts = PromptFormat(variant)
        return [*_texts(variant, encode, decode), *_prompts(prompts, encode, decode)]
    except (PromptError, SpecError) as error:
        return [str(error)]


def _texts(variant: Variant, encode: Encode, decode: Decode) -> Iterator[str]:
    for vector in variant.golden.encode:
        yield from _compare(repr(vector.text), encode((Content(vector.text),)), vector.ids)
        decoded = decode(vector.ids)
        if decoded != vector.text:
            yield f"{vector.text!r} comes back from its ids as {decoded!r}."
    for token, token_id in variant.control_tokens.items():
        if shown := decode((token_id,)):
            yield f"Control token {token} (id {token_id}) is shown as {shown!r}."
    if variant.golden.stop_ids and variant.stop_ids != set(variant.golden.stop_ids):
        stops, golden = sorted(variant.stop_ids), sorted(variant.golden.stop_ids)
        yield f"The stop ids are {stops} instead of {golden}."


def _prompts(prompts: PromptFormat, encode: Encode, decode: Decode) -> Iterator[str]:
    golden = prompts.variant.golden
    for number, chat in enumerate(golden.chat):
        ids = encode(prompts.chat(chat.messages))
        yield from _compare(f"Conversation {number}", ids, chat.ids)
    for number, fim in enumerate(golden.fim):
        ids = encode(prompts.fim(fim.prefix, fim.suffix))
        yield from _compare(f"Fill-in-the-middle prompt {number}", ids, fim.ids)
        shown = decode(ids)
        if shown != fim.prefix + fim.suffix:
            yield f"Fill-in-the-middle prompt {number} comes back from its ids as {shown!r}."


def _compare(what: str, got: Sequence[int], expected: Sequence[int]) -> Iterator[str]:
    if list(got) != list(expected):
        yield f"{what} becomes {list(got)} instead of {list(expected)}."
