from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import llama_cpp
import msgspec
import pytest

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.llama_cpp import comparison, remembered, repairs, tuner
from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.machine import Machine
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.llama_cpp.tuner import SIZES
from codeserve.engines.llama_cpp.tuning import Tuning, tune

TunesFile = Callable[..., tuple[Tuning, list[str]]]
SMALL = (1, 2)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "codeserve" / "tuning"


@pytest.fixture
def tuned_in_full(log: LlamaLog, monkeypatch: pytest.MonkeyPatch) -> TunesFile:
    """Tunes a file by few rounds; the tuning and the phases that were reported: none if it was
    remembered."""
    monkeypatch.setattr(comparison, "MOST_ROUNDS", 2)
    llama_cpp.llama_backend_init()

    def run(path: Path, **given: Any) -> tuple[Tuning, list[str]]:
        phases: list[str] = []
        options = LlamaCppOptions.of(given)
        overrides = repairs.overrides(())
        tuning = tune(path, options, overrides, lambda phase, _: phases.append(phase), log)
        return tuning, phases

    return run


@pytest.fixture
def tuned(tuned_in_full: TunesFile, monkeypatch: pytest.MonkeyPatch) -> TunesFile:
    """The same by small steps only."""
    for name in ("SIZES", "UBATCHES", "KERNEL_SIZES", "ATTENTION_SIZES", "THREAD_SIZES"):
        monkeypatch.setattr(tuner, name, SMALL)
    return tuned_in_full


def tried(tuning: Tuning) -> set[str]:
    return {trial.option for trial in tuning.trials}


def test_a_model_is_measured_once_and_remembered(
    smollm2_path: Path, tuned_in_full: TunesFile, cache: Path
) -> None:
    first, measuring = tuned_in_full(smollm2_path)
    second, nothing = tuned_in_full(smollm2_path)

    assert set(measuring) == {"measuring"}
    assert nothing == []
    assert second == first
    assert len(list(cache.iterdir())) == 1
    assert [size for size, _ in first.step_ms] == list(SIZES)
    assert all(milliseconds > 0 for _, milliseconds in first.step_ms)
    assert {"repack", "flash_attn", "type_k", "n_ubatch"} <= tried(first)
    assert first.flash_attn in {"on", "off"}
    assert first.measured_at is not None


def test_each_option_has_one_chosen_value(tiny_deepseek_gguf: Path, tuned: TunesFile) -> None:
    tuning, _ = tuned(tiny_deepseek_gguf)
    chosen = {trial.option: trial.value for trial in tuning.trials if trial.chosen}
    settings = msgspec.to_builtins(tuning)
    assert set(chosen) == tried(tuning)
    assert chosen == {name: str(settings[name]).lower() for name in chosen}
    assert all(trial.cost == 1 for trial in tuning.trials if trial.chosen)


def test_what_is_given_is_respected_and_not_searched(
    tiny_deepseek_gguf: Path, tuned: TunesFile
) -> None:
    given = {
        "n_threads": 1,
        "flash_attn": "on",
        "type_k": "f16",
        "type_v": "q8_0",
        "n_ubatch": 32,
        "repack": False,
    }
    tuning, phases = tuned(tiny_deepseek_gguf, **given)
    assert tried(tuning) == set()
    assert phases
    settled = msgspec.to_builtins(LlamaCppOptions.of(given).settled(tuning))
    assert {name: settled[name] for name in given} == given
    assert tuning.step_ms


def test_a_value_that_cannot_be_had_is_skipped_and_said(
    tiny_deepseek_gguf: Path, tuned: TunesFile
) -> None:
    tuning, _ = tuned(tiny_deepseek_gguf, type_v="q8_0")
    assert tuning.flash_attn == "on"
    assert any(sentence.startswith("flash_attn = off: ") for sentence in tuning.skipped)


def test_a_step_larger_than_those_known_is_measured_too(
    tiny_deepseek_gguf: Path, tuned: TunesFile
) -> None:
    tuning, _ = tuned(tiny_deepseek_gguf, n_batch=6, repack=True)
    assert [size for size, _ in tuning.step_ms] == [*SMALL, 6]


def test_without_tuning_nothing_is_measured(
    smollm2_path: Path, tuned: TunesFile, cache: Path
) -> None:
    tuning, phases = tuned(smollm2_path, tune=False)
    assert phases == []
    assert tuning == Tuning.static(LlamaCppOptions.of({}))
    assert tuning.step_ms == ()
    assert not cache.exists()


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff{", b'{"path": "x", "more": 1}'])
def test_a_damaged_file_is_measured_again(
    tiny_deepseek_gguf: Path, tuned: TunesFile, cache: Path, damage: bytes
) -> None:
    tuned(tiny_deepseek_gguf, **QUICK)
    (file,) = cache.iterdir()
    file.write_bytes(damage)

    _, phases = tuned(tiny_deepseek_gguf, **QUICK)

    assert phases
    assert tuned(tiny_deepseek_gguf, **QUICK)[1] == []


def test_a_result_for_something_else_under_the_same_name_is_not_believed(
    tiny_deepseek_gguf: Path, tuned: TunesFile, cache: Path
) -> None:
    tuned(tiny_deepseek_gguf, **QUICK)
    (file,) = cache.iterdir()
    entry = msgspec.json.decode(file.read_bytes())
    entry["subject"]["machine"]["cpu"] = "another"
    file.write_bytes(msgspec.json.encode(entry))

    assert tuned(tiny_deepseek_gguf, **QUICK)[1]


def test_a_cache_that_cannot_be_written_costs_a_warning_and_the_memory(
    tiny_deepseek_gguf: Path, tuned: TunesFile, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cache.parent.parent.write_text("a file where the folder should be")
    for _ in range(2):
        tuning, phases = tuned(tiny_deepseek_gguf, **QUICK)
        assert phases
        assert tuning.step_ms
        warnings = capfd.readouterr().err.splitlines()
        assert len(warnings) == 1
        assert "tiny-deepseek-coder.gguf cannot be remembered" in warnings[0]


def test_a_file_too_large_for_the_memory_is_not_measured(
    tiny_deepseek_gguf: Path, tuned: TunesFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = tiny_deepseek_gguf.stat().st_size
    monkeypatch.setattr(tuner, "available_bytes", lambda: size - 1)
    tuning, _ = tuned(tiny_deepseek_gguf)
    assert (tuning.trials, tuning.step_ms) == ((), ())
    assert tuning.skipped == ("Everything: the file is larger than the available memory.",)


def test_a_file_over_half_of_the_memory_is_loaded_with_one_kind_of_kernels_only(
    tiny_deepseek_gguf: Path, tuned: TunesFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = tiny_deepseek_gguf.stat().st_size
    monkeypatch.setattr(tuner, "available_bytes", lambda: size * 3 // 2)
    tuning, _ = tuned(tiny_deepseek_gguf)
    assert tuning.repack
    assert "repack" not in tried(tuning)
    assert "repack: the file takes over half of the available memory." in tuning.skipped


def test_a_file_that_cannot_be_loaded_is_an_error_and_not_remembered(
    tmp_path: Path, smollm2_path: Path, tuned: TunesFile, cache: Path
) -> None:
    path = tmp_path / "half.gguf"
    path.write_bytes(smollm2_path.read_bytes()[:1_000_000])
    with pytest.raises(ModelLoadError, match=r"half\.gguf could not be loaded"):
        tuned(path)
    assert not cache.exists()


QUICK: Mapping[str, Any] = {"repack": True, "flash_attn": "on", "type_k": "f16", "n_batch": 4}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return path


def test_everything_that_matters_changes_the_key(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(**given: Any) -> str:
        return remembered.Subject.of(model, LlamaCppOptions.of(given)).key

    keys = [key(), key(n_threads=1), key(repack=True), key(n_batch=64)]
    assert key() == key(tune=False) == keys[0]
    model.write_bytes(b"GGUF, but longer")
    keys.append(key())
    model.rename(model.with_name("other.gguf"))
    model.with_name("other.gguf").rename(model)
    assert key() == keys[-1]
    monkeypatch.setattr(remembered, "build_identity", lambda: "another build")
    keys.append(key())
    machine = msgspec.structs.replace(Machine.here(), cpu="another")
    monkeypatch.setattr(Machine, "here", lambda: machine)
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_a_model_file_that_is_gone_is_forgotten(model: Path, cache: Path) -> None:
    options = LlamaCppOptions.of({})
    subject = remembered.Subject.of(model, options)
    remembered.keep(subject, model, Tuning.static(options))
    model.unlink()
    other = model.with_name("other.gguf")
    other.write_bytes(b"GGUF")
    remembered.keep(remembered.Subject.of(other, options), other, Tuning.static(options))

    assert [entry.path for entry in remembered.entries(Tuning)] == [str(other)]
    assert len(list(cache.iterdir())) == 1
