"""What must hold between the parts of a family file, beyond the type of each field."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from codeserve.model_specs.chat_template import ChatTemplate
from codeserve.model_specs.errors import SpecError
from codeserve.model_specs.spec import ModelFamily, ModelFormat, ModelSpec, Variant

ABILITIES = ("generate", "chat")
SIZE = re.compile(r"\d+(_\d+)?")
SAMPLING_RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_k": (-1, 2**31 - 1),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 10),
}
"""What a request may ask for, too."""


def problems(family: ModelFamily) -> list[str]:
    """One sentence for each thing that does not fit together; empty: the family is sound."""
    found = [*_family(family)]
    for variant in family.variants:
        found += [f"variant {variant.name}: {problem}" for problem in _variant(variant)]
    for spec in family.specs:
        place = f"spec {spec.size_in_billions} {spec.model_format}"
        found += [f"{place}: {problem}" for problem in _spec(spec, family)]
    return found


def _family(family: ModelFamily) -> Iterator[str]:
    if not family.specs:
        yield "a family needs at least one of [[specs]]"
    for ability in family.abilities:
        if ability not in ABILITIES:
            yield f"unknown ability {ability!r}; allowed are {', '.join(ABILITIES)}"
    for name in _repeated(variant.name for variant in family.variants):
        yield f"variant {name} is defined twice"
    for name in _repeated(f"{spec.size_in_billions} {spec.model_format}" for spec in family.specs):
        yield f"spec {name} is defined twice"
    sizes = {spec.size_in_billions for spec in family.specs}
    for size in family.shapes.keys() - sizes:
        yield f"shapes: no spec has the size {size}; there are {', '.join(sorted(sizes))}"


def _variant(variant: Variant) -> Iterator[str]:
    fim = variant.fim
    named = {
        "bos": [variant.bos] if variant.bos is not None else [],
        "eos": [variant.eos] if variant.eos is not None else [],
        "stop_tokens": variant.stop_tokens,
        "fim": [fim.begin, fim.hole, fim.end] if fim else [],
    }
    for field, tokens in named.items():
        for token in tokens:
            if token not in variant.control_tokens:
                known = ", ".join(variant.control_tokens)
                yield f"{field}: {token!r} is not among control_tokens, which are {known}"
    if variant.chat_template is not None:
        try:
            ChatTemplate(variant.chat_template)
        except SpecError as error:
            yield str(error)
    yield from _sampling(variant)
    yield from _ids(variant)


def _sampling(variant: Variant) -> Iterator[str]:
    for field, (least, most) in SAMPLING_RANGES.items():
        value = getattr(variant.sampling, field)
        if value is not None and not least <= value <= most:
            yield f"sampling: {field} is {value}, but it must be from {least} to {most}"


def _ids(variant: Variant) -> Iterator[str]:
    tokens = [*variant.control_tokens.items(), *variant.letter_tokens.items()]
    for repeated in _repeated(token_id for _, token_id in tokens):
        yield f"id {repeated} stands for more than one token"
    first, last = variant.padding_rows or (0, -1)
    rows = variant.vocab_rows
    if rows is not None and not 0 <= first <= last + 1 <= rows:
        yield f"padding_rows {first} to {last} do not lie within the {rows} rows"
    golden = variant.golden
    used = {
        "golden": [
            *golden.stop_ids,
            *(token_id for vector in golden.encode for token_id in vector.ids),
            *(token_id for vector in golden.chat for token_id in vector.ids),
            *(token_id for vector in golden.fim for token_id in vector.ids),
        ],
        "tokens": [token_id for _, token_id in tokens],
    }
    for place, ids in used.items():
        for token_id in sorted(set(ids)):
            if token_id < 0 or (rows is not None and token_id >= rows):
                yield f"{place}: id {token_id} is not below vocab_rows {rows}"
            elif first <= token_id <= last:
                yield f"{place}: id {token_id} is one of the padding_rows {first} to {last}"


def _spec(spec: ModelSpec, family: ModelFamily) -> Iterator[str]:
    if not SIZE.fullmatch(spec.size_in_billions):
        yield "size_in_billions is not like 33 or 1_3"
    variants = [variant.name for variant in family.variants]
    if spec.variant not in variants:
        yield f"unknown variant {spec.variant!r}; there are {', '.join(variants)}"
    for quantization in (spec.default_quantization, *spec.file_gigabytes):
        if quantization not in spec.quantizations:
            yield f"{quantization!r} is not among quantizations {', '.join(spec.quantizations)}"
    if not spec.engines:
        yield "engines is empty"
    if not spec.sources:
        yield "sources is empty"
    for source in spec.sources:
        if spec.model_format is ModelFormat.GGUF and source.file is None:
            yield f"source {source.model_id}: a GGUF source needs `file`"


def _repeated(values: Iterable[str | int]) -> list[str | int]:
    return [value for value, count in Counter(values).items() if count > 1]
