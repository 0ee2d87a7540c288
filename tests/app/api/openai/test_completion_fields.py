"""Every field of a completion that asks for more than text from a prompt, on a real server."""

from typing import Any

import httpx
import pytest

PATH = "/v1/completions"
BOS, EOS = 256, 257


def post(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post(PATH, json={"model": "fast", "prompt": "a", **body})


def choices(client: httpx.Client, **body: Any) -> list[dict[str, Any]]:
    response = post(client, **body)
    assert response.status_code == 200, response.text
    given: list[dict[str, Any]] = response.json()["choices"]
    return given


def choice(client: httpx.Client, **body: Any) -> dict[str, Any]:
    (only,) = choices(client, **body)
    return only


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("ab", ["abGr"]),
        ("", ["Gr"]),
        ("<bos>ab", ["abGr"]),
        ("a<eos>b", ["a<eos>bGr"]),
        (["ab", "ü"], ["abGr", "üGr"]),
        ([97, 98], ["abGr"]),
        ([[BOS, 97], [98]], ["aGr", "bGr"]),
    ],
)
def test_an_echo_is_the_prompt_before_its_completion(
    client: httpx.Client, prompt: object, texts: list[str]
) -> None:
    echoed = choices(client, prompt=prompt, echo=True, max_tokens=2)
    assert [choice["text"] for choice in echoed] == texts


def test_an_echo_of_no_tokens_is_the_prompt(client: httpx.Client) -> None:
    assert choice(client, prompt="ab", echo=True, max_tokens=0)["text"] == "ab"


def test_stop_strings_do_not_apply_to_an_echo(client: httpx.Client) -> None:
    assert choice(client, prompt="xyz", echo=True, stop="y", max_tokens=2)["text"] == "xyzGr"


@pytest.mark.parametrize("max_tokens", [0, 1, 12])
@pytest.mark.parametrize("prompt", ["aü🙂b", [97, 98], [BOS, 97, 195]])
def test_echoed_and_generated_tokens_stand_at_their_places(
    client: httpx.Client, prompt: object, max_tokens: int
) -> None:
    echoed = choice(client, prompt=prompt, echo=True, logprobs=2, max_tokens=max_tokens)
    logprobs = echoed["logprobs"]
    assert len({len(array) for array in logprobs.values()}) == 1
    assert logprobs["token_logprobs"][0] is logprobs["top_logprobs"][0] is None
    for name, logprob, top in list(
        zip(logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True)
    )[1:]:
        assert top[name] == logprob
        assert len(top) in (2, 3)
    for name, offset in zip(logprobs["tokens"], logprobs["text_offset"], strict=True):
        if not name.startswith(("bytes:", "<bos>")):
            assert echoed["text"][offset:].startswith(name)


def test_a_bos_of_the_server_is_the_first_echoed_token(client: httpx.Client) -> None:
    logprobs = choice(client, prompt="ab", echo=True, logprobs=0, max_tokens=0)["logprobs"]
    assert logprobs["tokens"] == ["<bos>", "a", "b"]
    assert logprobs["text_offset"] == [0, 0, 1]


def test_one_generated_token_has_one_entry_even_if_it_ends_the_text(client: httpx.Client) -> None:
    ends = choice(
        client,
        prompt=[97, 98],
        echo=True,
        logprobs=1,
        max_tokens=1,
        temperature=0,
        allowed_token_ids=[97],
    )
    assert ends["text"] == "ab"
    assert ends["finish_reason"] == "stop"
    assert ends["logprobs"]["tokens"] == ["a", "b", "<eos>"]
    assert ends["logprobs"]["text_offset"] == [0, 1, 2]


def test_tokens_may_be_named_by_ids(client: httpx.Client) -> None:
    named = choice(client, logprobs=0, max_tokens=2, return_tokens_as_token_ids=True)
    assert named["logprobs"]["tokens"] == ["token_id:71", "token_id:114"]


def test_prompt_logprobs_show_each_token_of_the_prompt(client: httpx.Client) -> None:
    first, second = choices(client, prompt="ab", prompt_logprobs=1, max_tokens=1, n=2)
    assert first["prompt_logprobs"] == second["prompt_logprobs"]
    nothing, *tokens = first["prompt_logprobs"]
    assert nothing is None
    assert [next(iter(token.values()))["decoded_token"] for token in tokens] == ["a", "b"]
    assert all(str(ord(name)) in token for name, token in zip("ab", tokens, strict=True))


def test_an_echo_and_prompt_logprobs_each_have_their_number(client: httpx.Client) -> None:
    both = choice(client, echo=True, logprobs=0, prompt_logprobs=3, max_tokens=0)
    assert [len(top) for top in both["logprobs"]["top_logprobs"][1:]] == [1]
    assert [len(token) for token in both["prompt_logprobs"][1:]] == [4]


def test_token_ids_are_those_of_prompt_and_completion(client: httpx.Client) -> None:
    ids = choice(client, prompt="ab", return_token_ids=True, max_tokens=3)
    assert ids["prompt_token_ids"] == [BOS, 97, 98]
    assert ids["token_ids"] == [71, 114, 195]
    assert "token_ids" not in choice(client)


def test_every_candidate_counts_but_only_the_best_are_given(client: httpx.Client) -> None:
    completion = post(client, prompt=["a", "b"], n=2, best_of=3, max_tokens=4).json()
    assert [choice["index"] for choice in completion["choices"]] == [0, 1, 2, 3]
    assert completion["usage"]["completion_tokens"] == 2 * 3 * 4


def test_a_stop_id_ends_the_text_and_is_named(client: httpx.Client) -> None:
    ended = choice(client, stop_token_ids=[195])
    assert (ended["text"], ended["finish_reason"], ended["stop_reason"]) == ("Gr", "stop", 195)
    assert choice(client, stop_token_ids=[ord("e")], include_stop_str_in_output=True)["text"] == (
        "Grüße"
    )


def test_a_stop_string_may_be_shown(client: httpx.Client) -> None:
    shown = choice(client, stop=["üß"], include_stop_str_in_output=True)
    assert (shown["text"], shown["stop_reason"]) == ("Grüß", "üß")


def test_an_end_of_the_models_own_waits_for_the_least_tokens(client: httpx.Client) -> None:
    ends: dict[str, Any] = {"allowed_token_ids": [97], "temperature": 0}
    assert choice(client, **ends) == {
        "text": "",
        "index": 0,
        "logprobs": None,
        "finish_reason": "stop",
        "stop_reason": None,
    }
    assert choice(client, **ends, min_tokens=3)["text"] == "aaa"
    assert choice(client, **ends, ignore_eos=True, max_tokens=5)["text"] == "aaaaa"


def test_control_tokens_may_be_shown(client: httpx.Client) -> None:
    control: dict[str, Any] = {
        "allowed_token_ids": [BOS],
        "ignore_eos": True,
        "max_tokens": 2,
        "logprobs": 0,
    }
    assert choice(client, **control)["text"] == ""
    shown = choice(client, **control, skip_special_tokens=False)
    assert shown["text"] == "<bos><bos>"
    assert shown["logprobs"]["text_offset"] == [0, 5]


def test_a_prompt_of_text_may_do_without_bos(client: httpx.Client) -> None:
    def ids(prompt: object) -> object:
        body: dict[str, Any] = {"add_special_tokens": False, "return_token_ids": True}
        return choice(client, prompt=prompt, **body)["prompt_token_ids"]

    assert ids("ab") == [97, 98]
    assert ids("<bos>ab") == [BOS, 97, 98]
    assert post(client, prompt="", add_special_tokens=False).status_code == 400


def test_a_prompt_may_be_cut_to_its_last_tokens(client: httpx.Client) -> None:
    cut = choice(client, prompt="abcdef", truncate_prompt_tokens=3, echo=True, max_tokens=0)
    assert cut["text"] == "ef"


def test_prefixes_are_shared_within_a_salt(client: httpx.Client) -> None:
    def cached(salt: str) -> int:
        response = post(client, prompt="salted prompt", cache_salt=salt, priority=-1)
        tokens: int = response.json()["usage"]["prompt_tokens_details"]["cached_tokens"]
        return tokens

    assert cached("mine") == 0
    assert cached("mine") > 0
    assert cached("yours") == 0


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"prompt_logprobs": 0, "stream": True}, "prompt_logprobs"),
        ({"prompt_logprobs": -1}, "prompt_logprobs"),
        ({"logprobs": 101}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"suffix": "b", "echo": True}, "echo"),
        ({"suffix": "b", "truncate_prompt_tokens": 9}, "truncate_prompt_tokens"),
        ({"suffix": "b", "add_special_tokens": False}, "add_special_tokens"),
        ({"min_tokens": 17}, "min_tokens"),
        ({"stop_token_ids": [258]}, "stop_token_ids"),
        ({"stop_token_ids": [-1]}, "stop_token_ids[0]"),
        ({"allowed_token_ids": [258]}, "allowed_token_ids"),
        ({"logit_bias": {"258": 1}}, "logit_bias"),
        ({"prompt": [258]}, "prompt"),
        ({"truncate_prompt_tokens": 0}, "truncate_prompt_tokens"),
        ({"typical_p": 1.1}, "typical_p"),
        ({"cache_salt": 1}, "cache_salt"),
        ({"priority": "high"}, "priority"),
        ({"ignore_eos": True, "guided_regex": "a"}, "ignore_eos"),
        ({"max_completion_tokens": 5}, "max_completion_tokens"),
    ],
)
def test_what_cannot_be_is_a_400_that_names_its_field(
    client: httpx.Client, fields: dict[str, Any], param: str
) -> None:
    response = post(client, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_best_of_streams_where_it_ranks_nothing(client: httpx.Client) -> None:
    assert post(client, n=2, best_of=2, stream=True).status_code == 200


@pytest.mark.parametrize("seed", [-(2**63), -1, 2**32, 2**63 - 1])
def test_any_64_bit_seed_serves_any_number_of_choices(client: httpx.Client, seed: int) -> None:
    assert len(choices(client, seed=seed, n=3)) == 3


@pytest.mark.parametrize("path", ["/beta/completions", "/v1/engines/fast/completions"])
def test_the_route_has_other_names(client: httpx.Client, path: str) -> None:
    response = client.post(path, json={"model": "fast", "prompt": "a", "max_tokens": 2})
    assert response.json()["choices"][0]["text"] == "Gr"


@pytest.mark.parametrize("model", [{}, {"model": None}, {"model": "copilot-codex"}])
def test_the_path_of_an_engine_names_the_model(client: httpx.Client, model: Any) -> None:
    response = client.post("/v1/engines/short/completions", json={**model, "prompt": "a"})
    assert response.json()["model"] == "short"


def test_an_unknown_engine_is_a_404(client: httpx.Client) -> None:
    response = client.post("/v1/engines/none/completions", json={"prompt": "a"})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
