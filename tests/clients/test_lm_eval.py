"""lm-eval's command against the server scores texts as Transformers does on the same weights."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.server import BASE, Server

HERE = Path(__file__).parent
TRANSFORMERS = HERE.parents[1] / ".engines" / "transformers" / "bin" / "python"
TOLERANCE = 1e-3
"""Most that two log-likelihoods of one text may differ by."""

Sample = dict[str, Any]


@pytest.fixture(scope="module")
def samples(server: Server, models: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """What lm-eval sent and got, question by question."""
    output = tmp_path_factory.mktemp("lm-eval")
    settings = {
        "model": BASE,
        "base_url": f"{server.api}/completions",
        "tokenizer": models / "tiny-deepseek-coder",
        "tokenizer_backend": "huggingface",
        "max_length": 512,
        "max_retries": 1,
    }
    run = subprocess.run(
        [
            Path(sys.executable).parent / "lm-eval",
            "run",
            *("--model", "local-completions"),
            *("--model_args", ",".join(f"{name}={value}" for name, value in settings.items())),
            *("--tasks", "function_bodies", "--include_path", "lm_eval_tasks"),
            *("--seed", "None"),  # A seed needs PyTorch, which is not here.
            *("--batch_size", "2", "--output_path", output, "--log_samples"),
        ],
        cwd=HERE,
        env={**os.environ, "HF_HOME": str(output / "cache")},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    [file] = output.rglob("samples_function_bodies_*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def requests_of(sample: Sample) -> list[tuple[str, str]]:
    """Context and continuation of each choice."""
    return [(pair["arg_0"], pair["arg_1"]) for pair in sample["arguments"].values()]


def scores_of(sample: Sample) -> list[tuple[float, bool]]:
    """Log-likelihood of each choice, and whether it is what greedy decoding writes."""
    return [(float(score), greedy == "True") for [[score, greedy]] in sample["resps"]]


@pytest.fixture(scope="module")
def expected(samples: list[Sample], models: Path) -> list[list[tuple[float, bool]]]:
    """What `scores_of` each sample should be."""
    pairs = [pair for sample in samples for pair in requests_of(sample)]
    run = subprocess.run(
        [TRANSFORMERS, HERE / "log_likelihoods.py", models / "tiny-deepseek-coder"],
        input=json.dumps(pairs),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=150,
    )
    scores = iter(json.loads(run.stdout))
    return [[next(scores) for _ in requests_of(sample)] for sample in samples]


def test_every_question_is_scored(samples: list[Sample]) -> None:
    questions = (HERE / "lm_eval_tasks" / "function_bodies.jsonl").read_text().splitlines()

    assert len(samples) == len(questions)
    assert all(len(requests_of(sample)) == 3 for sample in samples)


def test_log_likelihoods_are_those_of_transformers(
    samples: list[Sample], expected: list[list[tuple[float, bool]]]
) -> None:
    for sample, scores in zip(samples, expected, strict=True):
        for (found, _), (score, _) in zip(scores_of(sample), scores, strict=True):
            assert found == pytest.approx(score, abs=TOLERANCE), sample["doc"]


def test_greedy_continuations_are_those_of_transformers(
    samples: list[Sample], expected: list[list[tuple[float, bool]]]
) -> None:
    found = [greedy for sample in samples for _, greedy in scores_of(sample)]

    assert found == [greedy for scores in expected for _, greedy in scores]
    assert set(found) == {True, False}


def test_the_right_body_is_the_likeliest(samples: list[Sample]) -> None:
    assert [sample["acc"] for sample in samples] == [1.0] * len(samples)
