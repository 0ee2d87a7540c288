from codeserve.app.api.generation.plan import Plan
from codeserve.engines.types import SamplingParams, TextRequest
from codeserve.model_specs.segments import Text


def plan(seed: int | None) -> Plan:
    return Plan(
        id="cmpl-1",
        prompts=[(Text("a"),), (Text("b"),)],
        choices_per_prompt=2,
        request=TextRequest(
            max_tokens=5, stop=("x",), sampling=SamplingParams(temperature=0.5, seed=seed)
        ),
    )


def test_choices_come_prompt_by_prompt() -> None:
    requests = plan(seed=None).requests()
    assert [request.id for request in requests] == [f"cmpl-1-{index}" for index in range(4)]
    assert [request.prompt for request in requests] == [
        (Text("a"),),
        (Text("a"),),
        (Text("b"),),
        (Text("b"),),
    ]


def test_each_choice_of_a_prompt_has_a_seed_of_its_own() -> None:
    assert [request.sampling.seed for request in plan(seed=7).requests()] == [7, 8, 7, 8]


def test_without_a_seed_each_choice_draws_one() -> None:
    assert {request.sampling.seed for request in plan(seed=None).requests()} == {None}
