import math

from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.generation.stopwatch import Stopwatch
from codeserve.app.api.llama_cpp.result import probabilities, select, stop_type, timings
from codeserve.engines.types import FinishReason, NamedToken, TokenLogprobs, Usage


def test_scored_tokens_have_llama_cpps_shape() -> None:
    chosen, other = NamedToken(5, b" a", -0.5), NamedToken(6, b"\xf0\x9f", -math.inf)
    [shown] = probabilities([TokenLogprobs(chosen, 1, (chosen, other))])
    assert shown.model_dump() == {
        "id": 5,
        "token": " a",
        "bytes": [32, 97],
        "logprob": -0.5,
        "top_logprobs": [
            {"id": 5, "token": " a", "bytes": [32, 97], "logprob": -0.5},
            {"id": 6, "token": "\ufffd", "bytes": [240, 159], "logprob": -9999.0},
        ],
    }


def test_times_are_divided_among_tokens() -> None:
    answer = Answer(0, stopwatch=Stopwatch(first_token=3.0, last_token=5.0))
    shown = timings(answer, Usage(prompt_tokens=10, cached_tokens=6, completion_tokens=5), 2.0)
    assert shown.model_dump() == {
        "cache_n": 6,
        "prompt_n": 4,
        "prompt_ms": 1000.0,
        "prompt_per_token_ms": 250.0,
        "prompt_per_second": 4.0,
        "predicted_n": 5,
        "predicted_ms": 2000.0,
        "predicted_per_token_ms": 400.0,
        "predicted_per_second": 2.5,
    }


def test_no_time_is_no_speed() -> None:
    shown = timings(
        Answer(0, stopwatch=Stopwatch(first_token=1.0, last_token=1.0)),
        Usage(completion_tokens=1),
        1.0,
    )
    assert (shown.prompt_per_token_ms, shown.predicted_per_second) == (0, 0)


def test_an_end_has_a_type() -> None:
    ends = [
        Answer(0, finish_reason=FinishReason.LENGTH),
        Answer(0, finish_reason=FinishReason.STOP, stop_reason="\n"),
        Answer(0, finish_reason=FinishReason.STOP, stop_reason=32014),
    ]
    assert [stop_type(end) for end in ends] == ["limit", "word", "eos"]


def test_paths_lead_into_objects_only() -> None:
    fields = {"a": {"b": {"c": 1}}, "d": None, "e": [1]}
    paths = ["a/b/c", "a/b", "d", "e/0", "a/x", "d/x", "", "a/b"]
    assert select(fields, paths) == {"a/b/c": 1, "a/b": {"c": 1}, "d": None}
