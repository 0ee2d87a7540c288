"""Weights that do not speak their variant are found out, with a sentence for each fault."""

from collections.abc import Sequence

import msgspec
import pytest

from codeserve.model_specs.golden import prove
from codeserve.model_specs.segments import Content, Control, PromptSegments, Text
from codeserve.model_specs.spec import (
    ChatVector,
    EncodeVector,
    Fim,
    FimVector,
    GoldenVectors,
    Variant,
)

CONTROL = {"<bos>": 256, "<eos>": 257, "<hole>": 258, "<end>": 259}
VARIANT = Variant(
    family="bytes",
    name="v1",
    context_length=64,
    bos="<bos>",
    control_tokens=CONTROL,
    stop_tokens=("<eos>",),
    fim=Fim(begin="<bos>", hole="<hole>", end="<end>"),
    chat_template="{% for m in messages %}{{ m.content }}<eos>{% endfor %}",
    golden=GoldenVectors(
        encode=(EncodeVector("ab", (97, 98)), EncodeVector("<eos>", (60, 101, 111, 115, 62))),
        chat=(ChatVector(({"role": "user", "content": "a"},), (256, 97, 257)),),
        fim=(FimVector("a", "b", (256, 256, 97, 258, 98, 259)),),
        stop_ids=(257,),
    ),
)


def encode(segments: PromptSegments) -> list[int]:
    ids: list[int] = []
    for segment in segments:
        match segment:
            case Control(token):
                ids.append(CONTROL[token])
            case Text(text) | Content(text):
                ids += text.encode()
    return ids


def decode(ids: Sequence[int]) -> str:
    return bytes(token_id for token_id in ids if token_id < 256).decode()


def test_a_model_that_reproduces_every_vector_is_proven() -> None:
    assert prove(VARIANT, encode, decode) == []


def test_a_wrong_text_is_named_with_both_ids() -> None:
    def wrong(segments: PromptSegments) -> list[int]:
        return [
            id_ + 1 if id_ == 98 and segments[0] == Content("ab") else id_
            for id_ in encode(segments)
        ]

    assert prove(VARIANT, wrong, decode) == ["'ab' becomes [97, 99] instead of [97, 98]."]


def test_a_tokenizer_that_takes_a_typed_control_token_for_one_is_found_out() -> None:
    def credulous(segments: PromptSegments) -> list[int]:
        if segments == (Content("<eos>"),):
            return [257]
        return encode(segments)

    (failure,) = prove(VARIANT, credulous, decode)
    assert failure.startswith("'<eos>' becomes [257]")


def test_a_doubled_bos_is_found_out_in_conversations_and_fim() -> None:
    def doubling(segments: PromptSegments) -> list[int]:
        ids = encode(segments)
        return [256, *ids] if ids[:1] == [256] else ids

    failures = prove(VARIANT, doubling, decode)
    assert [failure.split(" becomes")[0] for failure in failures] == [
        "Conversation 0",
        "Fill-in-the-middle prompt 0",
    ]


def test_a_control_token_that_shows_is_found_out() -> None:
    def leaking(ids: Sequence[int]) -> str:
        return "".join("<eos>" if token_id == 257 else decode((token_id,)) for token_id in ids)

    assert prove(VARIANT, encode, leaking) == ["Control token <eos> (id 257) is shown as '<eos>'."]


def test_a_text_that_does_not_come_back_is_found_out() -> None:
    failures = prove(VARIANT, encode, lambda ids: decode(ids).replace("b", "�"))
    assert failures[0] == "'ab' comes back from its ids as 'a�'."


@pytest.mark.parametrize("stop_tokens", [(), ("<eos>", "<end>")])
def test_a_wrong_stop_set_is_found_out(stop_tokens: tuple[str, ...]) -> None:
    variant = msgspec.structs.replace(VARIANT, stop_tokens=stop_tokens)
    (failure,) = prove(variant, encode, decode)
    assert failure.startswith("The stop ids are")


@pytest.mark.parametrize("template", [None, "{% if %}", "{{ raise_exception('no') }}"])
def test_a_missing_or_broken_template_is_a_failure_not_a_crash(template: str | None) -> None:
    variant = msgspec.structs.replace(VARIANT, chat_template=template)
    (failure,) = prove(variant, encode, decode)
    assert "template" in failure


def test_a_variant_without_vectors_has_nothing_to_disprove() -> None:
    assert prove(Variant(family="", name="", context_length=8), encode, decode) == []
