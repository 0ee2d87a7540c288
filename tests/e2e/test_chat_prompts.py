"""What a chat's fields do to the prompt of a real model."""

from typing import Any

from tests.e2e.server import Server

MODEL = "smollm2-135m-instruct"
QUESTION: Any = {"role": "user", "content": "What is the capital of France?"}
BEGUN: Any = {"role": "assistant", "content": "The capital of France is"}


def answer(server: Server, **body: Any) -> Any:
    return server.client.chat.completions.create(
        model=MODEL, messages=[QUESTION, BEGUN], temperature=0, max_tokens=3, **body
    ).choices[0]


def test_the_assistants_message_goes_on_where_it_ends(server: Server) -> None:
    begun = {"continue_final_message": True}
    assert answer(server, extra_body=begun).message.content.startswith(" Paris")
    shown = answer(server, extra_body={**begun, "echo": True}).message.content
    assert shown.startswith("The capital of France is Paris")


def test_a_new_turn_is_begun_unless_told_otherwise(server: Server) -> None:
    def prompt_tokens(**fields: Any) -> int:
        usage = server.client.chat.completions.create(
            model=MODEL,
            messages=[QUESTION],
            max_tokens=1,
            extra_body=fields,
        ).usage
        assert usage is not None
        return usage.prompt_tokens

    begun = prompt_tokens(add_generation_prompt=True)
    assert begun == prompt_tokens()
    assert begun > prompt_tokens(add_generation_prompt=False)


def test_bytes_of_the_scored_tokens_are_those_of_the_content(server: Server) -> None:
    choice = server.client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Reply with three emoji: 🙂🎉🚀"}],
        logprobs=True,
        top_logprobs=3,
        temperature=1.5,
        seed=4,
        max_tokens=60,
    ).choices[0]
    entries = choice.logprobs.content  # type: ignore[union-attr]
    assert entries
    spelled = b"".join(bytes(entry.bytes or ()) for entry in entries)
    assert spelled.decode(errors="replace") == choice.message.content
    assert all(len(entry.top_logprobs) == 3 for entry in entries)
    assert all(entry.logprob <= entry.top_logprobs[0].logprob <= 0 for entry in entries)
