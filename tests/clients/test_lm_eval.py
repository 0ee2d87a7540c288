"""lm-eval's command against the server scores texts as Transformers does on the same weights."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.clients.server import BASE, Server

HERE = Path(__file__).parent
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


class Reference:
    """Transformers with the tiny model's weights in float32."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def score(self, context: str, continuation: str) -> tuple[float, bool]:
        """As `scores_of`."""
        start = len(self._encode(context))
        ids = torch.tensor(self._encode(context + continuation))
        with torch.no_grad():
            logits = self._model(ids[None]).logits[0, start - 1 : -1]
        chosen = logits.log_softmax(-1).gather(1, ids[start:, None])
        return chosen.sum().item(), bool((logits.argmax(-1) == ids[start:]).all())

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text)
        return ids


@pytest.fixture(scope="module")
def reference(models: Path) -> Reference:
    return Reference(models / "tiny-deepseek-coder")


def test_every_question_is_scored(samples: list[Sample]) -> None:
    questions = (HERE / "lm_eval_tasks" / "function_bodies.jsonl").read_text().splitlines()

    assert len(samples) == len(questions)
    assert all(len(requests_of(sample)) == 3 for sample in samples)


def test_log_likelihoods_are_those_of_transformers(
    samples: list[Sample], reference: Reference
) -> None:
    for sample in samples:
        for request, (score, _) in zip(requests_of(sample), scores_of(sample), strict=True):
            expected, _ = reference.score(*request)
            assert score == pytest.approx(expected, abs=TOLERANCE), request


def test_greedy_continuations_are_those_of_transformers(
    samples: list[Sample], reference: Reference
) -> None:
    told = [
        (greedy, reference.score(*request)[1])
        for sample in samples
        for request, (_, greedy) in zip(requests_of(sample), scores_of(sample), strict=True)
    ]

    assert all(greedy == expected for greedy, expected in told)
    assert {greedy for greedy, _ in told} == {True, False}


def test_the_right_body_is_the_likeliest(samples: list[Sample]) -> None:
    assert [sample["acc"] for sample in samples] == [1.0] * len(samples)
