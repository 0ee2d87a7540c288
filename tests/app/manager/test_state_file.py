"""The state file survives crashes, other servers and other versions."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeserve.app.manager.state_file import StateFile, state_path
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.app.setting_problems import SettingsError
from codeserve.model_specs.spec import Hub

CODER = ModelSettings(id="coder", model_name="deepseek-coder", size_in_billions="1_3", replica=2)
MINE = ModelSettings(id="mine", path=Path("/models/mine.gguf"), options={"n_threads": 4})

HOLDER = """
import sys
from pathlib import Path
from codeserve.app.manager.state_file import StateFile
state = StateFile.open(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""

words = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=3,
)
models = st.builds(
    ModelSettings,
    id=st.text(min_size=1, max_size=8),
    path=st.text("abc /é🙂.", min_size=1, max_size=8).map(lambda name: Path("/", name)),
    engine=st.none() | st.just("llama.cpp"),
    max_concurrency=st.integers(1, 64),
    context_length=st.none() | st.integers(1, 2**17),
    hub=st.none() | st.sampled_from(Hub),
    load=st.sampled_from(["start", "on_demand"]),
    idle_timeout=st.none() | st.floats(0.001, 1e9),
    pinned=st.booleans(),
    replica=st.integers(1, 8),
    n_gpu=st.just("auto") | st.integers(0, 8),
    gpu_idx=st.none() | st.lists(st.integers(0, 8)).map(tuple),
    options=st.dictionaries(words, values, max_size=2),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "8000.json"


def reopened(path: Path) -> tuple[ModelSettings, ...]:
    state = StateFile.open(path)
    state.close()
    return state.models()


def save(path: Path, *given: ModelSettings) -> None:
    state = StateFile.open(path)
    state.save(given)
    state.close()


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def refusal(path: Path) -> str:
    before = path.read_bytes()
    with pytest.raises(SettingsError) as caught:
        StateFile.open(path)
    assert path.read_bytes() == before
    return str(caught.value)


@settings(max_examples=500, deadline=None)
@given(given=st.lists(models, max_size=4, unique_by=lambda model: model.id))
def test_what_is_saved_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, given: list[ModelSettings]
) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.json"
    path.unlink(missing_ok=True)
    save(path, *given)
    assert reopened(path) == tuple(given)


def test_a_file_that_is_not_there_remembers_nothing(path: Path) -> None:
    assert reopened(path) == ()
    assert not path.exists()


def test_the_file_and_its_folder_are_the_users_alone(path: Path) -> None:
    save(path, CODER)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_crash_between_writing_and_renaming_leaves_the_old_state(path: Path) -> None:
    save(path, CODER)
    path.with_name(".8000.json.new").write_text('{"version": 1, "mod')
    assert reopened(path) == (CODER,)
    save(path, CODER, MINE)
    assert reopened(path) == (CODER, MINE)
    assert sorted(file.name for file in path.parent.iterdir()) == ["8000.json", "8000.json.lock"]


def test_a_state_that_cannot_be_written_is_an_error_and_leaves_the_old_one(path: Path) -> None:
    state = StateFile.open(path)
    state.save([CODER])
    path.with_name(".8000.json.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        state.save([CODER, MINE])
    state.close()
    path.with_name(".8000.json.new").rmdir()
    assert reopened(path) == (CODER,)


def test_a_second_server_is_told_which_one_has_the_file(path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    with pytest.raises(SettingsError, match=rf"\(process {holder.pid}\).*CODESERVE_STATE"):
        StateFile.open(path)
    holder.kill()
    holder.communicate()
    assert reopened(path) == ()


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"version": 1, "mod',
        "[]",
        "null",
        {"version": 1},
        {"version": "1", "models": []},
        {"version": 1, "models": [1]},
        {"version": 1, "models": [{"model_name": "a"}]},
        {"version": 1, "models": [{"id": "a"}, {"id": "a"}]},
    ],
)
def test_a_damaged_file_is_an_error_that_says_what_to_do(path: Path, content: Any) -> None:
    write(path, content)
    message = refusal(path)
    assert message.startswith(f"{path}: not a state file of codeserve: ")
    assert "move it away" in message
    path.unlink()
    assert reopened(path) == (), "the refusal has let go of the lock"


def test_a_newer_versions_file_is_an_error_that_names_both_versions(path: Path) -> None:
    write(path, {"version": 2, "models": []})
    assert "(version 2; this one reads 1). Install that codeserve" in refusal(path)


def test_bytes_that_are_no_text_are_an_error(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe")
    assert "not a state file of codeserve" in refusal(path)


def test_an_entry_that_no_longer_makes_sense_is_reported_and_kept(path: Path) -> None:
    old = {"id": "old", "model_name": "deepseek-coder", "turbo": True}
    write(path, {"version": 1, "models": [old, {"id": "coder", "model_name": "deepseek-coder"}]})
    state = StateFile.open(path)
    assert [model.id for model in state.models()] == ["coder"]
    [unusable] = state.unusable()
    assert unusable.id == "old"
    assert "unknown key 'turbo'" in unusable.reason
    state.save([CODER, MINE])
    state.close()
    assert json.loads(path.read_text())["models"][0] == old


def test_what_was_not_launched_again_stays_until_it_is_saved_or_forgotten(path: Path) -> None:
    save(path, CODER, MINE)
    state = StateFile.open(path)
    state.save([])
    assert [entry["id"] for entry in json.loads(path.read_text())["models"]] == ["coder", "mine"]
    state.save([MINE])
    state.save([])
    assert [entry["id"] for entry in json.loads(path.read_text())["models"]] == ["coder"]
    assert state.forget("coder")
    assert not state.forget("coder")
    state.close()
    assert reopened(path) == ()


def test_forgetting_keeps_what_was_saved(path: Path) -> None:
    save(path, CODER)
    state = StateFile.open(path)
    state.save([MINE])
    assert state.forget("coder")
    state.close()
    assert reopened(path) == (MINE,)


def test_a_link_to_the_file_stays_a_link(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere.json")
    save(path, CODER)
    assert path.is_symlink()
    assert reopened(path) == (CODER,)


def test_each_port_has_a_file_of_its_own_and_any_port_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert state_path(ServerSettings(port=8000)) == Path("/state/codeserve/8000.json")
    assert state_path(ServerSettings(port=0)) is None
    assert state_path(ServerSettings(port=0, state=Path("/a.json"))) == Path("/a.json")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    expected = Path("/home/me/.local/state/codeserve/8000.json")
    assert state_path(ServerSettings(port=8000)) == expected
