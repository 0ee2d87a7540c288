"""The tiny trained model in the DeepSeek Coder format proves that prompts mean what they should."""

import re
import subprocess
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from openai import BadRequestError

from tests.e2e.conftest import StartServer
from tests.e2e.server import COMMAND, Server
from tests.models.corpus import ChatExample, CompletionExample, FimExample, held_out
from tests.models.expand import WEIGHTS, write_gguf
from tests.models.vocabulary import Vocabulary

BOS = "<｜begin▁of▁sentence｜>"
FIM_BEGIN, FIM_HOLE, FIM_END = "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"
RIGHT = 0.9
"""Share of held-out examples that must come out to the letter."""

Example = TypeVar("Example", CompletionExample, FimExample, ChatExample)


def examples(kind: str, of: type[Example], count: int = 20) -> list[Example]:
    """Examples that the model has not been trained on."""
    return list(islice((e for e in held_out(kind) if isinstance(e, of)), count))


def fill(server: Server, prefix: str, suffix: str, **fields: Any) -> Any:
    return server.client.completions.create(
        model="tiny-base", prompt=prefix, suffix=suffix, max_tokens=64, temperature=0, **fields
    )


def answer(server: Server, messages: Any, **fields: Any) -> Any:
    return server.client.chat.completions.create(
        model="tiny-instruct", messages=messages, max_tokens=128, temperature=0, **fields
    )


def turns(example: ChatExample) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in example.messages]


def test_the_right_middle_comes_back_for_prefix_and_suffix(server: Server) -> None:
    held = [example for example in examples("fim", FimExample, 30) if not example.files]
    choices = [fill(server, e.prefix, e.suffix).choices[0] for e in held]

    right = [c.text == e.middle for c, e in zip(choices, held, strict=True)]
    assert sum(right) >= RIGHT * len(held)
    assert {choice.finish_reason for choice in choices} == {"stop"}


def test_another_file_of_the_repository_tells_the_middle(server: Server) -> None:
    held = [
        example
        for example in examples("fim", FimExample, 400)
        if example.files and "<" not in example.prefix + example.suffix
    ]
    right = []
    for example in held:
        files = "".join(f"#{path}\n{text}\n" for path, text in example.files)
        prompt = f"{files}{FIM_BEGIN}{example.prefix}{FIM_HOLE}{example.suffix}{FIM_END}"
        reply = server.client.completions.create(
            model="tiny-base", prompt=prompt, max_tokens=64, temperature=0
        )
        right.append(reply.choices[0].text == example.middle)

    assert len(held) >= 8
    assert sum(right) >= RIGHT * len(held)


def test_the_middle_depends_on_the_suffix(server: Server) -> None:
    prefix = "def add(a, b):\n    "
    suffixes = [f"\n    return {name}\n" for name in ("sum", "value")]
    middles = {fill(server, prefix, suffix).choices[0].text for suffix in suffixes}

    assert middles == {"sum = a + b", "value = a + b"}


def test_the_fill_in_the_middle_of_the_readme_runs(server: Server) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    section = readme.partition("## DeepSeek Coder")[2].partition("## ")[0]
    [example] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names: dict[str, Any] = {"client": server.client}
    exec(example.replace('"deepseek-coder"', '"tiny-base"'), names)

    assert names["completion"].choices[0].text == "value = a + b"


def test_a_ready_made_fim_prompt_is_the_same_as_prefix_and_suffix(server: Server) -> None:
    for example in examples("fim", FimExample, 5):
        prefix, suffix = example.prefix.replace("<", "("), example.suffix.replace("<", "(")
        marked = f"{FIM_BEGIN}{prefix}{FIM_HOLE}{suffix}{FIM_END}"
        ready_made = server.client.completions.create(
            model="tiny-base", prompt=marked, max_tokens=64, temperature=0
        )
        filled = fill(server, prefix, suffix)

        assert ready_made.choices[0].text == filled.choices[0].text
        assert ready_made.usage
        assert ready_made.usage.prompt_tokens == filled.usage.prompt_tokens
        assert filled.usage.prompt_tokens_details.cached_tokens == filled.usage.prompt_tokens - 1


def test_an_instruction_is_answered_and_the_turn_ends(server: Server) -> None:
    held = examples("chat", ChatExample)
    choices = [answer(server, turns(example)).choices[0] for example in held]

    right = [c.message.content == e.answer for c, e in zip(choices, held, strict=True)]
    assert sum(right) >= RIGHT * len(held)
    assert {choice.finish_reason for choice in choices} == {"stop"}
    assert not any("EOT" in choice.message.content for choice in choices)


def test_code_is_continued(server: Server) -> None:
    held = examples("completion", CompletionExample)
    texts = [
        server.client.completions.create(
            model="tiny-base", prompt=example.prompt, max_tokens=64, temperature=0
        )
        .choices[0]
        .text
        for example in held
    ]

    right = [text == example.completion for text, example in zip(texts, held, strict=True)]
    assert sum(right) >= RIGHT * len(held)


def test_four_forms_of_a_prompt_mean_the_same(server: Server) -> None:
    def texts(prompt: Any) -> list[str]:
        reply = server.client.completions.create(
            model="tiny-base", prompt=prompt, temperature=0, max_tokens=16
        )
        assert [choice.index for choice in reply.choices] == list(range(len(reply.choices)))
        return [choice.text for choice in reply.choices]

    text, ids = "def add(a, b):\n", [32013, 1551, 957, 7, 64, 11, 270, 1772, 185]
    [expected] = texts(text)

    assert expected == "    return a + b\n"
    assert texts([text, text]) == [expected] * 2
    assert texts(ids) == [expected]
    assert texts([ids, ids]) == [expected] * 2


def test_choices_differ_and_repeat_with_their_seed(server: Server) -> None:
    def texts() -> list[str]:
        reply = server.client.completions.create(
            model="tiny-base", prompt="def", n=3, seed=11, temperature=1.5, max_tokens=8
        )
        return [choice.text for choice in reply.choices]

    first = texts()

    assert len(set(first)) > 1
    assert texts() == first


def test_a_stream_adds_up_to_the_whole_answer(server: Server) -> None:
    for example in examples("chat", ChatExample, 5):
        whole = answer(server, turns(example))
        stream = answer(server, turns(example), stream=True)
        chunks = list(stream)

        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert text == whole.choices[0].message.content
        assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_control_token_typed_by_a_user_is_plain_text(server: Server) -> None:
    def prompt_tokens(content: str) -> int:
        reply = answer(server, [{"role": "user", "content": content}])
        return int(reply.usage.prompt_tokens)

    plain = prompt_tokens("x")
    assert prompt_tokens("x<|EOT|>") == plain + 6
    assert prompt_tokens(f"x{FIM_HOLE}") > plain + 6

    in_prefix = fill(server, f"x{FIM_HOLE}", "y").usage.prompt_tokens
    assert in_prefix > fill(server, "x", "y").usage.prompt_tokens + 6


def test_every_prompt_has_exactly_one_bos(server: Server) -> None:
    def prompt_tokens(prompt: Any) -> int:
        reply = server.client.completions.create(model="tiny-base", prompt=prompt, max_tokens=1)
        assert reply.usage is not None
        return reply.usage.prompt_tokens

    assert prompt_tokens("Hello world") == 3
    assert prompt_tokens(f"{BOS}Hello world") == 3
    assert prompt_tokens([32013, 17535, 1835]) == 3
    assert fill(server, "Hello", " world").usage.prompt_tokens == 6


def test_letters_that_are_added_tokens_are_shown(server: Server) -> None:
    for token_id, letter in ((32000, "õ"), (32009, "ü"), (32012, "û")):
        reply = server.client.completions.create(
            model="tiny-base", prompt="x", max_tokens=3, logit_bias={str(token_id): 100}
        )
        assert reply.choices[0].text == letter * 3


def test_padding_rows_are_never_sampled(server: Server) -> None:
    request = {"model": "tiny-base", "prompt": "def add(a, b):\n", "max_tokens": 8}
    url = f"{server.url}/v1/completions"
    plain = httpx.post(url, json={**request, "temperature": 0}, timeout=60).json()
    forced = httpx.post(
        url,
        json={**request, "temperature": 0, "logit_bias": {"32022": 100, "32255": 100}},
        timeout=60,
    ).json()

    assert forced["choices"] == plain["choices"]


def test_a_suffix_for_an_instruct_model_is_refused(server: Server) -> None:
    with pytest.raises(BadRequestError, match="Use a base model") as refused:
        server.client.completions.create(model="tiny-instruct", prompt="a", suffix="b")

    assert refused.value.code == "fim_not_supported"


def test_a_chat_with_a_base_model_is_refused(server: Server) -> None:
    with pytest.raises(BadRequestError, match="/v1/completions") as refused:
        server.client.chat.completions.create(
            model="tiny-base", messages=[{"role": "user", "content": "Hi"}]
        )

    assert refused.value.code == "chat_not_supported"


def test_a_file_without_metadata_is_recognised_and_repaired(
    start_server: StartServer, tmp_path: Path, deepseek_vocabulary: Vocabulary
) -> None:
    path = tmp_path / "old.gguf"
    write_gguf(WEIGHTS, deepseek_vocabulary, path, pre=None, rope_scaling=False)
    table = f'[[models]]\nid = "tiny-base"\npath = "{path}"\ncontext_length = 512\n'
    server = start_server(table + "options = { tune = false }")

    shown = server.model("tiny-base")
    repairs = " ".join(shown["repairs"])
    assert "tokenizer.ggml.pre was missing" in repairs
    assert "llama.rope.scaling.factor was missing" in repairs
    assert not any("DEGRADED" in line for line in shown["log_tail"])
    held = examples("fim", FimExample, 8)
    right = [fill(server, e.prefix, e.suffix).choices[0].text == e.middle for e in held]
    assert sum(right) >= RIGHT * sum(not e.files for e in held)


def test_weights_that_fail_their_golden_vectors_are_not_served(
    tmp_path: Path, deepseek_vocabulary: Vocabulary
) -> None:
    path = tmp_path / "wrong.gguf"
    wrong = replace(deepseek_vocabulary, merges=deepseek_vocabulary.merges[500:])
    write_gguf(WEIGHTS, wrong, path)
    done = subprocess.run(
        [str(COMMAND), "serve", "--port", "0", "--model", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert "becomes" in done.stderr
    assert "instead of" in done.stderr
    assert "ready" not in done.stdout
