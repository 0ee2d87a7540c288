"""What must change is a pure function of what shall be and what is."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.app.desired_state import Action, Change, Difference, Running, changes, launch_body
from codeserve.app.launch_request import LaunchRequest
from codeserve.app.model_settings import ModelSettings
from codeserve.app.setting_problems import SettingsError

CODER = ModelSettings(
    id="coder", model_name="deepseek-coder", size_in_billions="1_3", options={"n_threads": 4}
)
MINE = ModelSettings(id="mine", path=Path("/models/mine.gguf"))


def running(model: ModelSettings, state: str = "ready", **spec: Any) -> Running:
    """The model as a server of the same version tells of it."""
    return Running(model.id, model.model_dump(mode="json", exclude_none=True) | spec, state)


def actions(found: tuple[Change, ...]) -> list[tuple[str, str]]:
    return [(change.id, change.action) for change in found]


@pytest.mark.parametrize("state", ["ready", "loading", "unloaded", "restarting"])
def test_equal_models_are_left_alone_in_every_state_but_failed(state: str) -> None:
    assert changes([CODER, MINE], [running(MINE, state), running(CODER, state)], prune=True) == ()


def test_a_failed_model_is_tried_again() -> None:
    assert actions(changes([CODER], [running(CODER, "failed")])) == [("coder", "retry")]


def test_a_missing_model_is_launched() -> None:
    assert changes([CODER], []) == (Change(id="coder", action=Action.LAUNCH),)


def test_what_the_file_does_not_name_stays_unless_pruned() -> None:
    assert changes([CODER], [running(CODER), running(MINE)]) == ()
    pruned = changes([CODER], [running(CODER), running(MINE)], prune=True)
    assert pruned == (Change(id="mine", action=Action.TERMINATE),)


def test_room_is_made_before_anything_is_launched() -> None:
    found = changes([CODER], [running(MINE)], prune=True)
    assert actions(found) == [("mine", "terminate"), ("coder", "launch")]


def test_a_changed_model_is_replaced_and_each_setting_is_shown() -> None:
    wanted = CODER.model_copy(
        update={"context_length": 512, "size_in_billions": None, "options": {"n_batch": 64}}
    )
    [change] = changes([wanted], [running(CODER)])
    assert change.action is Action.REPLACE
    assert change.fields == {
        "context_length": Difference(None, 512),
        "size_in_billions": Difference("1_3", None),
        "options.n_threads": Difference(4, None),
        "options.n_batch": Difference(None, 64),
    }


@pytest.mark.parametrize(("pinned", "action"), [(True, "pin"), (False, "unpin")])
def test_a_model_that_shall_only_be_pinned_or_not_goes_on_running(
    pinned: bool, action: str
) -> None:
    wanted = CODER.model_copy(update={"pinned": pinned})
    there = running(CODER, pinned=not pinned)
    [change] = changes([wanted], [there])
    assert change.action == action
    assert change.fields["pinned"].wanted in (pinned, None)


def test_a_failed_model_that_shall_be_pinned_is_replaced() -> None:
    wanted = CODER.model_copy(update={"pinned": True})
    assert actions(changes([wanted], [running(CODER, "failed")])) == [("coder", "replace")]


def test_a_setting_of_another_version_is_a_difference() -> None:
    [change] = changes([CODER], [running(CODER, turbo=True)])
    assert change.fields["turbo"] == Difference(True, None)


@pytest.mark.parametrize(
    ("setting", "value"), [("options", {"load": 1}), ("engine_python", Path("/bin/python"))]
)
def test_what_a_request_would_misread_or_refuse_cannot_be_sent(setting: str, value: Any) -> None:
    model = CODER.model_copy(update={"engine": "vllm", setting: value})
    with pytest.raises(SettingsError, match=r"coder: (load|engine_python) cannot be sent to a run"):
        launch_body(model)


origins = st.one_of(
    st.fixed_dictionaries(
        {"model_name": st.just("deepseek-coder")},
        optional={
            "size_in_billions": st.sampled_from(["1_3", 33]),
            "model_format": st.just("pytorch"),
            "quantization": st.just("Q4_K_M"),
        },
    ),
    st.fixed_dictionaries(
        {"path": st.just("/m/a.gguf")}, optional={"family": st.just("deepseek-coder")}
    ),
    st.fixed_dictionaries({"path": st.just("/m/a")}, optional={"quantization": st.just("4-bit")}),
)
settings = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "b/c"])},
    optional={
        "engine": st.just("llama.cpp"),
        "max_concurrency": st.integers(1, 9),
        "context_length": st.integers(1, 9),
        "hub": st.sampled_from(["huggingface", "modelscope"]),
        "load": st.sampled_from(["start", "on_demand"]),
        "idle_timeout": st.integers(1, 9),
        "pinned": st.booleans(),
        "replica": st.integers(1, 3),
        "n_gpu": st.sampled_from(["auto", 0, 2]),
        "gpu_idx": st.lists(st.integers(0, 3), min_size=1),
        "options": st.dictionaries(
            st.sampled_from(["n_batch", "tune"]), st.integers(0, 9) | st.booleans()
        ),
    },
)
models = st.builds(lambda origin, rest: ModelSettings.read(origin | rest), origins, settings)


@given(model=models)
def test_a_launch_request_means_the_settings_that_it_was_made_of(model: ModelSettings) -> None:
    assert LaunchRequest.model_validate(launch_body(model)).settings() == model


@given(model=models, other=models)
def test_nothing_is_left_to_change_once_all_is_changed(
    model: ModelSettings, other: ModelSettings
) -> None:
    found = changes([model], [running(other)], prune=True)
    assert bool(found) == (model != other)
    assert changes([model], [running(model)], prune=True) == ()
