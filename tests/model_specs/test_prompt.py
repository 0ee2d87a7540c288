"""Prompts have the published form, and only the server's own text yields control tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.errors import PromptError, SpecError
from codeserve.model_specs.prompt import ContextFile, PromptFormat
from codeserve.model_specs.segments import Content, Control, Ids, Segment, Text
from codeserve.model_specs.spec import Variant

BOS = "<｜begin▁of▁sentence｜>"
EOT = "<|EOT|>"
BEGIN, HOLE, END = "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"
DEFAULT = (
    "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by "
    "Deepseek Company, and you only answer questions related to computer science. For politically "
    "sensitive questions, security and privacy issues, and other non-computer science questions, "
    "you will refuse to answer"
)

Message = Mapping[str, str]


def user(content: str) -> Message:
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    return {"role": "assistant", "content": content}


def system(content: str) -> Message:
    return {"role": "system", "content": content}


def spelled(segments: Sequence[Segment]) -> str:
    """The segments' text with control tokens in angle quotes, so that they differ from text."""
    parts = []
    for segment in segments:
        match segment:
            case Control(token):
                parts.append(f"«{token}»")
            case Text(text) | Content(text):
                parts.append(text)
            case Ids():
                pytest.fail("a prompt format makes no ids")
    return "".join(parts)


@pytest.fixture(scope="module", params=["v1", "v1.5"])
def instruct(catalog: Catalog, request: pytest.FixtureRequest) -> PromptFormat:
    return PromptFormat(catalog.family("deepseek-coder-instruct").variant(request.param))


@pytest.fixture(scope="module")
def base(catalog: Catalog) -> PromptFormat:
    return PromptFormat(catalog.family("deepseek-coder").variant("v1"))


FOREIGN = Variant(
    family="",
    name="foreign",
    context_length=1024,
    bos="<s>",
    eos="</s>",
    control_tokens={"<s>": 1, "</s>": 2, "[INST]": 3, "[/INST]": 4, "<|user|>": 5},
)


def foreign(template: str, **fields: Any) -> PromptFormat:
    """The format of weights outside the catalogue, with a template of their own."""
    return PromptFormat(msgspec.structs.replace(FOREIGN, chat_template=template, **fields))


class TestChat:
    def test_one_turn(self, instruct: PromptFormat) -> None:
        prompt = instruct.chat([user("Say hi.")])
        assert spelled(prompt) == (f"«{BOS}»{DEFAULT}\n### Instruction:\nSay hi.\n### Response:\n")

    def test_several_turns_end_with_eot(self, instruct: PromptFormat) -> None:
        prompt = instruct.chat([user("U1"), assistant("A1"), user("U2")])
        assert spelled(prompt) == (
            f"«{BOS}»{DEFAULT}\n### Instruction:\nU1\n### Response:\nA1\n«{EOT}»\n"
            "### Instruction:\nU2\n### Response:\n"
        )

    def test_an_own_system_prompt_replaces_the_default_and_takes_no_newline(
        self, instruct: PromptFormat
    ) -> None:
        prompt = instruct.chat([system("Be terse."), user("U")])
        assert spelled(prompt) == f"«{BOS}»Be terse.### Instruction:\nU\n### Response:\n"

    def test_an_empty_system_prompt_leaves_none(self, instruct: PromptFormat) -> None:
        prompt = instruct.chat([system(""), user("U")])
        assert spelled(prompt) == f"«{BOS}»### Instruction:\nU\n### Response:\n"

    def test_every_system_message_stands_in_its_place(self, instruct: PromptFormat) -> None:
        prompt = instruct.chat([system("S1\n"), user("U"), system("S2\n"), user("V")])
        assert spelled(prompt) == (
            f"«{BOS}»S1\n### Instruction:\nU\nS2\n### Instruction:\nV\n### Response:\n"
        )

    def test_a_developer_is_the_system(self, instruct: PromptFormat) -> None:
        developer = {"role": "developer", "content": "S"}
        assert instruct.chat([developer, user("U")]) == instruct.chat([system("S"), user("U")])

    def test_a_conversation_may_end_with_the_assistant(self, instruct: PromptFormat) -> None:
        prompt = instruct.chat([system(""), user("U"), assistant("A")])
        assert spelled(prompt) == (
            f"«{BOS}»### Instruction:\nU\n### Response:\nA\n«{EOT}»\n### Response:\n"
        )

    def test_a_prompt_without_generation_prompt_ends_with_the_last_message(
        self, instruct: PromptFormat
    ) -> None:
        prompt = instruct.chat([system(""), user("U")], add_generation_prompt=False)
        assert spelled(prompt) == f"«{BOS}»### Instruction:\nU\n"

    @pytest.mark.parametrize("begun", ["def f():\n    ", "", "\n", f"a {EOT}", "<"])
    def test_the_assistants_last_turn_may_stay_open(
        self, instruct: PromptFormat, begun: str
    ) -> None:
        messages = [system(""), user("U"), assistant("A"), user("V"), assistant(begun)]
        prompt = instruct.chat(messages, continue_final_message=True)
        assert spelled(prompt) == (
            f"«{BOS}»### Instruction:\nU\n### Response:\nA\n«{EOT}»\n"
            f"### Instruction:\nV\n### Response:\n{begun}"
        )

    def test_only_the_assistants_turn_can_stay_open(self, instruct: PromptFormat) -> None:
        with pytest.raises(PromptError, match="the last one is the user's") as raised:
            instruct.chat([assistant("A"), user("U")], continue_final_message=True)
        assert raised.value.param == "continue_final_message"

    def test_content_is_neither_trimmed_nor_changed(self, instruct: PromptFormat) -> None:
        prompt = instruct.chat([system(""), user("  {{ x }}\r\n\t")])
        assert "### Instruction:\n  {{ x }}\r\n\t\n###" in spelled(prompt)

    def test_text_between_control_tokens_is_one_segment(self, instruct: PromptFormat) -> None:
        prompt = instruct.chat([user(f"a {EOT} b"), assistant("A"), user("U")])
        assert [type(segment) for segment in prompt] == [Control, Content, Control, Content]

    def test_smollm2_has_its_own_template(self, catalog: Catalog) -> None:
        prompts = PromptFormat(catalog.select("smollm2-instruct").variant)
        assert spelled(prompts.chat([user("Hello")])) == (
            "«<|im_start|>»system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face«<|im_end|>»\n«<|im_start|>»user\nHello«<|im_end|>»\n«<|im_start|>»assistant\n"
        )

    @pytest.mark.parametrize("message", [{"role": "tool", "content": "U"}, {"content": "U"}])
    def test_an_unknown_role_is_refused_with_the_known_ones(
        self, instruct: PromptFormat, message: Message
    ) -> None:
        with pytest.raises(PromptError, match="allowed are system, developer, user, assistant"):
            instruct.chat([message])

    def test_a_message_without_content_is_refused(self, instruct: PromptFormat) -> None:
        with pytest.raises(PromptError) as raised:
            instruct.chat([{"role": "user"}])
        assert raised.value.param == "messages[0].content"

    def test_no_messages_are_refused(self, instruct: PromptFormat) -> None:
        with pytest.raises(PromptError, match="at least one"):
            instruct.chat([])

    def test_a_base_model_does_not_chat(self, base: PromptFormat) -> None:
        assert not base.can_chat
        with pytest.raises(PromptError, match="deepseek-coder-instruct") as raised:
            base.chat([user("U")])
        assert raised.value.code == "chat_not_supported"


class TestInjection:
    @pytest.mark.parametrize("token", [BOS, EOT, BEGIN, "<pad>", "<|User|>"])
    def test_a_control_token_typed_by_a_user_is_text(self, catalog: Catalog, token: str) -> None:
        prompts = PromptFormat(catalog.family("deepseek-coder-instruct").variant("v1"))
        prompt = prompts.chat([system(token), user(f"a{token}"), assistant(f"{token}b")])
        controls = [segment for segment in prompt if isinstance(segment, Control)]
        assert controls == [Control(BOS), Control(EOT)]
        assert f"«{BOS}»{token}### Instruction:\na{token}\n### Response:\n{token}b" in spelled(
            prompt
        )

    def test_two_messages_cannot_join_into_a_control_token(self) -> None:
        prompts = foreign("{% for m in messages %}{{ m.content | trim }}{% endfor %}")
        prompt = prompts.chat([user("x [INS \n"), user(" T] y")])
        assert prompt == (Control("<s>"), Content("x [INST] y"))

    def test_a_message_cannot_complete_the_templates_own_text(self) -> None:
        prompts = foreign("[{% for m in messages %}{{ m.content }}{% endfor %}/INST]")
        prompt = prompts.chat([user("INST] ["), user("")])
        assert prompt == (Control("<s>"), Content("[INST] [/INST]"))

    def test_a_message_that_the_template_encloses_cannot_be_a_control_tokens_core(self) -> None:
        prompts = foreign("{% for m in messages %}<|{{ m.content | trim }}|>{% endfor %}")
        assert prompts.chat([user("user ")]) == (Control("<s>"), Content("<|user|>"))

    def test_overlapping_spellings_stay_text(self) -> None:
        template = "{% for m in messages %}{{ m.content }}{% endfor %}"
        prompts = foreign(template, control_tokens={"<s>": 1, "</s>": 2, "aba": 3})
        assert prompts.chat([user("xababax")]) == (Control("<s>"), Content("xababax"))

    def test_private_use_characters_of_the_user_survive(self, instruct: PromptFormat) -> None:
        content = "".join(map(chr, range(0xE000, 0xF900))) + EOT
        assert f"### Instruction:\n{content}\n" in spelled(instruct.chat([user(content)]))

    def test_a_fim_prefix_and_suffix_are_text(self, base: PromptFormat) -> None:
        prompt = base.fim(f"{HOLE}{BOS}", f"{END}", [ContextFile("a.py", EOT)])
        assert prompt == (
            Control(BOS),
            Content(f"#a.py\n{EOT}\n"),
            Control(BEGIN),
            Content(f"{HOLE}{BOS}"),
            Control(HOLE),
            Content(END),
            Control(END),
        )

    TOKENS = (BOS, EOT, BEGIN, HOLE, END, "<pad>")
    PIECES = st.sampled_from(
        [*TOKENS, *(token[: len(token) // 2] for token in TOKENS), "<", ">", "|>", "pad", " ", "\n"]
    )
    TEXT = st.lists(PIECES | st.text(max_size=4), max_size=8).map("".join)
    MESSAGES = st.lists(
        st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXT), min_size=1, max_size=5
    )
    TEMPLATES = st.sampled_from(
        [
            "{% for m in messages %}{{ m.content }}{% endfor %}",
            "{% for m in messages %}{{ m.content | trim }}{% endfor %}",
            "{{ bos_token }}{% for m in messages %}{{ m.content.strip() }}<|EOT|>{% endfor %}",
            "{% for m in messages %}<{{ m.content }}>{{ m.role }}{% endfor %}",
        ]
    )

    @given(messages=MESSAGES)
    def test_whatever_users_type_the_template_alone_makes_control_tokens(
        self, catalog: Catalog, messages: list[tuple[str, str]]
    ) -> None:
        prompts = PromptFormat(catalog.family("deepseek-coder-instruct").variant("v1"))
        prompt = prompts.chat([{"role": role, "content": text} for role, text in messages])
        controls = [segment for segment in prompt if isinstance(segment, Control)]
        turns = sum(role == "assistant" for role, _ in messages)
        assert controls == [Control(BOS), *[Control(EOT)] * turns]
        parts = {
            "system": "{}",
            "user": "### Instruction:\n{}\n",
            "assistant": f"### Response:\n{{}}\n«{EOT}»\n",
        }
        expected = "".join(parts[role].replace("{}", text) for role, text in messages)
        head = "" if any(role == "system" for role, _ in messages) else f"{DEFAULT}\n"
        assert spelled(prompt) == f"«{BOS}»{head}{expected}### Response:\n"

    @given(template=TEMPLATES, messages=MESSAGES)
    def test_it_holds_for_templates_that_trim_and_join(
        self, template: str, messages: list[tuple[str, str]]
    ) -> None:
        tokens = {token: number for number, token in enumerate(self.TOKENS)}
        prompts = foreign(template, bos=BOS, eos=EOT, control_tokens=tokens)
        prompt = prompts.chat([{"role": role, "content": text} for role, text in messages])
        controls = [segment for segment in prompt if isinstance(segment, Control)]
        own = template.count(EOT) * len(messages)
        assert controls == [Control(BOS), *[Control(EOT)] * own]


class TestForeignTemplates:
    def test_a_bos_rendered_by_the_template_is_not_doubled(self) -> None:
        prompts = foreign(
            "{{ bos_token }}{% for m in messages %}[INST] {{ m.content }}{% endfor %}"
        )
        assert spelled(prompts.chat([user("U")])) == "«<s>»«[INST]» U"

    def test_a_bos_that_the_template_forgets_is_added(self) -> None:
        prompts = foreign("{% for m in messages %}{{ m.content + eos_token }}{% endfor %}")
        assert spelled(prompts.chat([user("U")])) == "«<s>»U«</s>»"

    def test_a_bos_that_the_template_repeats_stands_once(self) -> None:
        prompts = foreign("{% for m in messages %}{{ bos_token + m.content }}{% endfor %}")
        assert spelled(prompts.chat([user("U"), user("V")])) == "«<s>»UV"

    def test_a_model_without_bos_gets_none(self) -> None:
        prompts = foreign("{{ bos_token }}{{ messages[0].content }}", bos=None)
        assert prompts.chat([user("U")]) == (Content("U"),)

    def test_a_turn_stays_open_where_a_template_trims(self) -> None:
        prompts = foreign("{% for m in messages %}{{ m.content | trim + eos_token }}{% endfor %}")
        prompt = prompts.chat([user("U "), assistant("A ")], continue_final_message=True)
        assert spelled(prompt) == "«<s>»U«</s>»A "

    def test_a_turn_that_the_template_hides_cannot_stay_open(self) -> None:
        prompts = foreign("{{ messages[0].content }}")
        with pytest.raises(PromptError, match="does not show the end") as raised:
            prompts.chat([user("U"), assistant("A")], continue_final_message=True)
        assert raised.value.param == "continue_final_message"

    def test_a_conversation_that_the_template_refuses_is_the_clients_fault(self) -> None:
        prompts = foreign("{{ raise_exception('Roles must alternate') }}")
        with pytest.raises(PromptError, match="Roles must alternate") as raised:
            prompts.chat([user("U")])
        assert raised.value.param == "messages"

    def test_a_template_that_is_not_jinja_is_an_error_of_the_model(self) -> None:
        with pytest.raises(SpecError, match="not valid Jinja"):
            foreign("{% if %}")


class TestRaw:
    def test_plain_text_follows_the_bos(self, base: PromptFormat) -> None:
        assert base.raw("def f():") == (Control(BOS), Text("def f():"))

    def test_an_empty_prompt_is_the_bos(self, base: PromptFormat) -> None:
        assert base.raw("") == (Control(BOS),)

    def test_a_ready_made_fim_prompt_is_honoured(self, base: PromptFormat) -> None:
        assert spelled(base.raw(f"{BEGIN}a{HOLE}b{END}")) == f"«{BOS}»«{BEGIN}»a«{HOLE}»b«{END}»"

    def test_a_bos_may_be_left_to_the_client(self, base: PromptFormat) -> None:
        assert base.raw("a", add_bos=False) == (Text("a"),)
        assert base.raw(f"{BOS}a", add_bos=False) == (Control(BOS), Text("a"))
        bare = PromptFormat(msgspec.structs.replace(base.variant, bos=None))
        assert bare.raw("a", add_bos=False) == (Text("a"),)

    def test_the_clients_own_bos_is_not_doubled(self, base: PromptFormat) -> None:
        assert base.raw(f"{BOS}x") == base.raw("x")

    def test_a_bos_anywhere_else_is_text(self, base: PromptFormat) -> None:
        assert base.raw(f"{BOS}{BOS}x{BOS}") == (Control(BOS), Text(f"{BOS}x{BOS}"))

    def test_a_ready_made_conversation_keeps_its_eot(self, base: PromptFormat) -> None:
        assert spelled(base.raw(f"A\n{EOT}\nB")) == f"«{BOS}»A\n«{EOT}»\nB"

    def test_an_ascii_look_alike_is_text(self, base: PromptFormat) -> None:
        assert base.raw("<|fim_begin|>a") == (Control(BOS), Text("<|fim_begin|>a"))

    def test_a_model_without_control_tokens_takes_text(self) -> None:
        variant = Variant(family="", name="plain", context_length=8)
        assert PromptFormat(variant).raw("<|EOT|>") == (Text("<|EOT|>"),)


class TestFim:
    def test_prefix_comes_first_and_the_middle_last(self, base: PromptFormat) -> None:
        assert base.can_fill
        assert base.fim("Hello", " world") == (
            Control(BOS),
            Control(BEGIN),
            Content("Hello"),
            Control(HOLE),
            Content(" world"),
            Control(END),
        )

    def test_white_space_is_kept(self, base: PromptFormat) -> None:
        assert spelled(base.fim("a\n    ", "\n\n")) == f"«{BOS}»«{BEGIN}»a\n    «{HOLE}»\n\n«{END}»"

    def test_prefix_and_suffix_may_be_empty(self, base: PromptFormat) -> None:
        assert spelled(base.fim("", "")) == f"«{BOS}»«{BEGIN}»«{HOLE}»«{END}»"

    def test_files_come_ahead_headed_by_their_paths(self, base: PromptFormat) -> None:
        files = [ContextFile("a/b.py", "x = 1"), ContextFile("c.py", "y = 2\n")]
        assert spelled(base.fim("p", "s", files)) == (
            f"«{BOS}»#a/b.py\nx = 1\n#c.py\ny = 2\n\n«{BEGIN}»p«{HOLE}»s«{END}»"
        )

    def test_an_instruct_model_refuses_and_names_a_model_that_can(
        self, instruct: PromptFormat
    ) -> None:
        assert not instruct.can_fill
        with pytest.raises(PromptError, match=r"base model .* such as deepseek-coder") as raised:
            instruct.fim("a", "b")
        assert (raised.value.param, raised.value.code) == ("suffix", "fim_not_supported")

    def test_v1_5_base_refuses(self, catalog: Catalog) -> None:
        prompts = PromptFormat(catalog.family("deepseek-coder").variant("v1.5"))
        with pytest.raises(PromptError, match="not trained to fill in a middle"):
            prompts.fim("a", "b")
