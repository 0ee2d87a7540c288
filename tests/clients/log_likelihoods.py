"""Transformers' own log-likelihoods; runs in the environment of the Transformers engine.

.engines/transformers/bin/python tests/clients/log_likelihoods.py FOLDER < pairs.json

Standard input: pairs of context and continuation. Standard output: for each the log-likelihood of
the continuation, and whether it is what greedy decoding writes.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


class Reference:
    """The weights of a Hugging Face folder in float32."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def score(self, context: str, continuation: str) -> tuple[float, bool]:
        start = len(self._encode(context))
        ids = torch.tensor(self._encode(context + continuation))
        with torch.no_grad():
            logits = self._model(ids[None]).logits[0, start - 1 : -1]
        chosen = logits.log_softmax(-1).gather(1, ids[start:, None])
        return chosen.sum().item(), bool((logits.argmax(-1) == ids[start:]).all())

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text)
        return ids


if __name__ == "__main__":
    reference = Reference(Path(sys.argv[1]))
    json.dump([reference.score(*pair) for pair in json.load(sys.stdin)], sys.stdout)
