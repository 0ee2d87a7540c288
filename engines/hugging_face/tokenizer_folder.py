"""A folder's tokenizer, rewritten so that other libraries load it right."""

import json
from pathlib import Path
from typing import Any

from codeserve.engines.hugging_face.folder import Folder
from codeserve.model_specs.spec import Variant


def write_tokenizer(folder: Folder, variant: Variant, into: Path) -> Path:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` to the folder ``into``, and return it.

    Transformers, and vLLM by it, choose what to do with ``tokenizer.json`` by the class that
    ``tokenizer_config.json`` or the model's type names, and replace its steps where that class has
    others. The written folder names the class that keeps them. The variant's control tokens are
    marked as special, so that neither library takes them for text.
    """
    tokenizer = json.loads(folder.vocabulary.to_json())
    control = set(variant.control_tokens.values())
    for token in tokenizer["added_tokens"]:
        token["special"] = token["id"] in control
    into.mkdir(parents=True, exist_ok=True)
    _write(into / "tokenizer.json", tokenizer)
    _write(into / "tokenizer_config.json", _settings(folder, variant))
    return into


def _settings(folder: Folder, variant: Variant) -> dict[str, Any]:
    vocabulary = folder.vocabulary
    eos = variant.eos or (None if vocabulary.eos is None else vocabulary.text(vocabulary.eos))
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": variant.bos,
        "eos_token": eos,
        "pad_token": eos,
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": variant.context_length,
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
