"""``codeserve parity`` as users run it, on real models."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from codeserve.app.cli.main import build_cli
from tests.models.expand import WEIGHTS, Array, read_weights, write_gguf
from tests.models.forward import logprobs
from tests.models.variations import disturb, quantise
from tests.models.vocabulary import Vocabulary

COMMAND = Path(sys.executable).with_name("codeserve")
EXACT = 'tune = false, type_k = "f32", type_v = "f32", flash_attn = "off"'
NOISE = 3.0
"""So much that the disturbed model parts from the other, and still does most alike."""

PROMPTS: Sequence[Mapping[str, Any]] = (
    {"prompt": "def multiply(rate, client):\n    "},
    {"prompt": "# gain finds the smaller of a and b\ndef gain(a, b):\n    "},
    {"prefix": "def edge(cost_list):\n", "suffix": "    return base\n"},
    {"prefix": "def row(box_list):\n", "suffix": "    return total\n"},
)

Report = dict[str, Any]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_deepseek_gguf: Path,
    deepseek_vocabulary: Vocabulary,
) -> Path:
    """The tiny model exact, disturbed and quantised, and a config of them and of fake models."""
    folder = tmp_path_factory.mktemp("parity")
    disturbed, quantised = folder / "disturbed.gguf", folder / "quantised.gguf"
    write_gguf(disturb(folder / "disturbed.safetensors", NOISE), deepseek_vocabulary, disturbed)
    quantise(tiny_deepseek_gguf, quantised, "Q8_0")
    models = {
        "exact": (tiny_deepseek_gguf, "llama.cpp", EXACT),
        "same": (tiny_deepseek_gguf, "llama.cpp", EXACT),
        "disturbed": (disturbed, "llama.cpp", EXACT),
        "quantised": (quantised, "llama.cpp", EXACT),
        "steady": (tiny_deepseek_gguf, "llama.cpp", "tune = false, deterministic = true"),
        "fake": ("/dev/null", "fake", 'script = "abcd "'),
        "other": ("/dev/null", "fake", 'script = "abXd "'),
        "broken": ("/dev/null", "fake", 'fail_load = "a tensor is missing"'),
        "crashing": ("/dev/null", "fake", "crash_after = 5"),
        "gone": ("/nowhere.gguf", "llama.cpp", ""),
        "short": ("/dev/null", "fake", ""),
    }
    tables = (
        f'[[models]]\nid = "{name}"\npath = "{path}"\nengine = "{engine}"\n'
        f"context_length = {40 if name == 'short' else 512}\noptions = {{ {options} }}\n"
        for name, (path, engine, options) in models.items()
    )
    (folder / "codeserve.toml").write_text("\n".join(tables))
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, PROMPTS)))
    return folder


@pytest.fixture(scope="session")
def run(folder: Path) -> Run:
    def command(models: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(str(COMMAND), "parity", "--config", "codeserve.toml", "--models", models),
                *map(str, arguments),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=150,
            env={**os.environ, "COLUMNS": "120", "XDG_CACHE_HOME": str(folder)},
        )

    return command


@pytest.fixture(scope="session")
def found(run: Run) -> Report:
    """What the command finds on four models."""
    done = run(
        "exact,same,disturbed,quantised",
        *("--prompts", "prompts.jsonl", "--max-tokens", 16, "--seed", 7, "--json"),
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stderr == ""
    report: Report = json.loads(done.stdout)
    return report


@pytest.fixture(scope="session")
def weights(folder: Path) -> Mapping[str, Mapping[str, Array]]:
    return {
        "exact": read_weights(WEIGHTS),
        "disturbed": read_weights(folder / "disturbed.safetensors"),
    }


def model(found: Report, name: str) -> Report:
    (one,) = (model for model in found["models"] if model["name"] == name)
    return dict(one)


def test_equal_models_are_equal(found: Report) -> None:
    same = model(found, "same")
    assert [row["kind"] for row in same["rows"]] == ["completion", "fim"]
    for row in same["rows"]:
        assert row["prompts"] == row["same_prompt_ids"] == row["same_text"] == 2
        assert row["first_parting"] is None
        assert row["max_difference"] < 1e-5
        assert row["mean_divergence"] < 1e-9
        assert row["same_likeliest"] == 1.0


def test_the_first_model_is_the_reference_and_tells_what_rounding_does(found: Report) -> None:
    assert [one["is_reference"] for one in found["models"]] == [True, False, False, False]
    for row in model(found, "exact")["rows"]:
        assert 0 <= row["max_difference"] < 1e-4
    assert model(found, "exact")["settings"]["type_k"] == "f32"


def test_the_same_seed_repeats(found: Report) -> None:
    for one in found["models"]:
        assert [row["seed_repeats"] for row in one["rows"]] == [2, 2]


def scores(weights: Mapping[str, Array], prompt: Report) -> Array:
    """The independent scores of every token in each place of a continuation."""
    ids = [*prompt["prompt_ids"], *prompt["token_ids"]]
    rows: Array = logprobs(weights, ids)[len(prompt["prompt_ids"]) - 1 : -1].astype(np.float64)
    return rows


@pytest.mark.parametrize("index", range(len(PROMPTS)))
def test_the_figures_are_those_of_the_models(
    index: int, found: Report, weights: Mapping[str, Mapping[str, Array]]
) -> None:
    ours = model(found, "exact")["prompts"][index]
    theirs = model(found, "disturbed")["prompts"][index]
    own = ours["token_ids"]
    exact, disturbed = scores(weights["exact"], ours), scores(weights["disturbed"], ours)
    assert own == exact.argmax(axis=1).tolist()
    theirs_alone = scores(weights["disturbed"], theirs)
    assert theirs["token_ids"] == theirs_alone.argmax(axis=1).tolist()
    assert theirs["logprobs"] == pytest.approx(theirs_alone.max(axis=1), abs=2e-3)

    places = np.arange(len(own))
    differences = disturbed[places, own] - exact[places, own]
    comparison = theirs["comparison"]
    assert comparison["differences"] == pytest.approx(differences, abs=2e-3)
    assert theirs["reference_logprobs"] == pytest.approx(disturbed[places, own], abs=2e-3)
    agreeing = int((exact.argmax(axis=1) == disturbed.argmax(axis=1)).sum())
    assert comparison["same_likeliest"] == agreeing
    divergences = (np.exp(exact) * (exact - disturbed)).sum(axis=1)
    for least, whole in zip(comparison["divergences"], divergences, strict=True):
        assert whole / 3 - 1e-4 <= least <= whole + 1e-4


def test_a_parting_is_told_with_what_both_models_think_of_both_tokens(
    found: Report, weights: Mapping[str, Mapping[str, Array]]
) -> None:
    partings = 0
    reports = zip(
        model(found, "exact")["prompts"], model(found, "disturbed")["prompts"], strict=True
    )
    for ours, theirs in reports:
        pairs = zip(ours["token_ids"], theirs["token_ids"], strict=False)
        apart = [position for position, (one, other) in enumerate(pairs) if one != other]
        parting = theirs["comparison"]["parting"]
        if not apart:
            assert parting is None
            continue
        partings += 1
        position = parting["position"]
        assert position == apart[0]
        chosen = [ours["token_ids"][position], theirs["token_ids"][position]]
        assert [choice["token_id"] for choice in parting["choices"]] == chosen
        context = [*ours["prompt_ids"], *ours["token_ids"][:position]]
        exact, disturbed = (logprobs(weights[name], context)[-1] for name in ("exact", "disturbed"))
        told = [choice["reference"]["logprob"] for choice in parting["choices"]]
        if not parting["choices"][1]["reference"]["at_most"]:
            assert told == pytest.approx([exact[i] for i in chosen], abs=2e-3)
        told = [choice["model"]["logprob"] for choice in parting["choices"]]
        assert told == pytest.approx([disturbed[i] for i in chosen], abs=2e-3)
    assert 0 < partings < len(PROMPTS), "the noise makes some texts part, not all"


def test_a_quantised_model_differs_little(found: Report) -> None:
    rows = model(found, "quantised")["rows"]
    assert all(row["same_text"] == row["prompts"] for row in rows)
    assert all(0 < row["max_difference"] < 0.2 for row in rows)


def test_a_tolerance_judges(run: Run, found: Report) -> None:
    kept = run("fake,fake", "--max-tokens", 3, "--tolerance", 0)
    assert kept.returncode == 0, kept.stdout
    assert "Log-probabilities differ by no more than 0." in kept.stdout
    exceeded = run(
        "exact,disturbed", "--prompts", "prompts.jsonl", "--max-tokens", 4, "--tolerance", 1e-6
    )
    assert exceeded.returncode == 1
    assert "log-probabilities differ by up to" in exceeded.stdout


def test_a_parting_is_shown_by_its_tokens(run: Run) -> None:
    done = run("fake,other", "--max-tokens", 5)
    assert done.returncode == 0, done.stdout
    assert "other: prompt 1 (completion) parts at token 2, no near-tie: margin" in done.stdout
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "both 'a' 'b'" in lines
    assert "reference 'c' 'd' ' '" in lines
    assert "model 'X' 'd' ' '" in lines
    assert "Left out, as the reference was not trained for them: 4 fim prompts." in done.stdout


def test_models_that_fail_are_shown_and_the_others_go_on(run: Run) -> None:
    done = run("gone,broken,fake,crashing,other", "--max-tokens", 5, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert "no such file or folder" in model(report, "gone")["error"]
    assert model(report, "broken")["error"] == "a tensor is missing"
    assert "ended and is being replaced" in model(report, "crashing")["error"]
    assert model(report, "fake")["is_reference"]
    assert [row["kind"] for row in model(report, "other")["rows"]] == ["completion", "chat"]
    assert len(report["problems"]) == 3


def test_other_token_ids_are_the_worst_and_named_first(run: Run, folder: Path) -> None:
    (folder / "one.jsonl").write_text('{"prompt": "def f"}\n')
    done = run("exact,broken,fake", "--prompts", "one.jsonl", "--max-tokens", 4, "--json")
    assert done.returncode == 1
    problems = json.loads(done.stdout)["problems"]
    assert problems[0].startswith("fake: prompt 1 (completion): its token ids are not the ")
    assert problems[-1] == "broken: a tensor is missing"


def test_a_prompt_of_ones_own_that_a_model_cannot_take_is_an_error(run: Run, folder: Path) -> None:
    (folder / "hole.jsonl").write_text('{"prefix": "a", "suffix": "b"}\n{"prompt": "a"}\n')
    done = run("fake,other", "--prompts", "hole.jsonl", "--max-tokens", 2)
    assert done.returncode == 1
    assert "fake: prompt 1 (fim): " in done.stdout
    assert "was not trained to fill in a middle" in done.stdout
    assert "completion   1/1   1/1" in done.stdout


def test_a_context_that_ends_too_early_is_an_error(run: Run, folder: Path) -> None:
    (folder / "ten.jsonl").write_text('{"prompt": "0123456789"}\n')
    done = run("fake,short", "--prompts", "ten.jsonl", "--max-tokens", 30)
    assert done.returncode == 1
    assert "short: prompt 1 (completion): The model's context of 40 tokens ends" in done.stdout


def test_a_deterministic_model_repeats_its_samples_and_can_be_checked_alone(run: Run) -> None:
    done = run("steady", "--seed", 3, "--max-tokens", 8, "--prompts", "prompts.jsonl", "--json")
    assert done.returncode == 0, done.stdout
    (steady,) = json.loads(done.stdout)["models"]
    assert [row["seed_repeats"] for row in steady["rows"]] == [2, 2]


def test_references_are_those_of_serve_after_an_engine(folder: Path) -> None:
    done = subprocess.run(
        [COMMAND, "parity", "--models", "fake=/dev/null", "--models", "nonsense=/dev/null"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "fake=/dev/null (the reference)" in done.stdout
    assert "nonsense=/dev/null: There is no engine" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--models", "a.gguf"), "a comparison needs two models; --seed can check one alone"),
        ((), "a comparison needs two models"),
        (("--models", "a:1:b:c,d"), "'a:1:b:c' is no model reference"),
        (("--config", "/none.toml"), "/none.toml: No such file or directory"),
        (("--config", "{config}", "--models", "exact,exactly"), "the config file has no model 'ex"),
        (("--models", "a,b", "--prompts", "/none.jsonl"), "/none.jsonl: No such file or directory"),
        (("--models", "a,b", "--prompts", "{config}"), "{config}, line 1: not valid JSON"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    arguments: tuple[str, ...], message: str, folder: Path
) -> None:
    config = str(folder / "codeserve.toml")
    given = [argument.replace("{config}", config) for argument in arguments]
    result = CliRunner().invoke(build_cli(), ["parity", *given])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"codeserve: {message.replace('{config}', config)}")
    assert result.stderr.count("\n") == 1
