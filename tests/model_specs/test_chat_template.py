"""Templates behave as under Hugging Face's ``apply_chat_template``, and cannot break out."""

import pytest

from codeserve.model_specs.chat_template import ChatTemplate
from codeserve.model_specs.errors import PromptError

MESSAGES = [{"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}]


def render(source: str) -> str:
    return ChatTemplate(source).render(
        MESSAGES, bos_token="<s>", eos_token="</s>", add_generation_prompt=True
    )


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("{% if true %}\n  x\n{% endif %}\ny", "  x\ny"),
        ("  {% if true %}x{% endif %}", "x"),
        (
            "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}"
            "{% endfor %}",
            "assistant",
        ),
        ("{% for m in messages %}{% break %}{% endfor %}{{ bos_token + eos_token }}", "<s></s>"),
        ("{{ {'a': '<é>'} | tojson }}", '{"a": "<é>"}'),
        ("{% generation %}{{ messages[1].content }}{% endgeneration %}", "A"),
        ("{% if tools is none and documents is none %}no tools{% endif %}", "no tools"),
        ("{% if add_generation_prompt %}go{% endif %}", "go"),
        ("{{ strftime_now('%Y') | length }}", "4"),
    ],
)
def test_the_dialect_is_that_of_hugging_face(source: str, rendered: str) -> None:
    assert render(source) == rendered


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('no') }}",
        "{{ messages[0].content + 1 }}",
        "{{ messages[9].content.x }}",
        "{{ 1 / 0 }}",
        "{{ range(10 ** 9) | list }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_a_template_that_fails_or_breaks_out_is_refused(source: str) -> None:
    with pytest.raises(PromptError):
        render(source)
