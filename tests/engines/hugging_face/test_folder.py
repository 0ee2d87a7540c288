from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.hugging_face.folder import Folder
from codeserve.engines.types import EngineConfig
from codeserve.model_specs.spec import Variant
from tests.engines.hugging_face.conftest import Changes, Edited


def test_a_folder_tells_what_a_model_is(v1: Folder) -> None:
    assert v1.name == "tiny-deepseek-coder"
    assert v1.config["architectures"] == ["LlamaForCausalLM"]
    assert v1.trained_context_length == 16384
    assert v1.parameters == 9_045_120
    assert v1.weights_bytes == 4 * v1.parameters
    assert v1.dtype == "float32"
    assert v1.quantization is None
    assert v1.chat_template is None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"torch_dtype": None, "dtype": "bfloat16"}, "bfloat16"),
        ({"torch_dtype": "float16"}, "float16"),
        ({"torch_dtype": None}, None),
    ],
)
def test_the_number_type_has_two_names(
    edited: Edited, config: Mapping[str, Any], expected: str | None
) -> None:
    assert Folder.read(edited({"config.json": config})).dtype == expected


def test_a_folder_without_optional_files_is_read(edited: Edited) -> None:
    path = edited({"generation_config.json": None, "tokenizer_config.json": None})
    folder = Folder.read(path)
    assert folder.vocabulary.bos is None
    assert folder.vocabulary.eos == 32014, "as config.json says"


def test_weights_in_pytorchs_own_files_are_counted_by_their_size(edited: Edited) -> None:
    parts = {f"pytorch_model-0000{part}-of-00002.bin": bytes(500) for part in (1, 2)}
    folder = Folder.read(
        edited({**parts, "model.safetensors": None, "config.json": {"torch_dtype": "bfloat16"}})
    )
    assert (folder.weights_bytes, folder.parameters) == (1000, 500)


def test_the_context_length_is_what_is_asked_for_and_fits(
    v1: Folder, variants: Mapping[str, Variant]
) -> None:
    variant = variants["deepseek-coder v1"]

    def asked(context_length: int | None) -> int | None:
        config = EngineConfig(engine="vllm", path=str(v1.path), context_length=context_length)
        return v1.context_length(config, variant)

    assert (asked(None), asked(512), asked(16384)) == (None, 512, 16384)
    with pytest.raises(ModelLoadError, match="is 16385, but this model was trained for 16384"):
        asked(16385)


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="nowhere does not exist"):
        Folder.read(tmp_path / "nowhere")
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelLoadError, match="is a file; this engine needs a Hugging Face folder"):
        Folder.read(tmp_path / "model.gguf")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config.json": None}, r"has no config\.json"),
        ({"config.json": "{"}, r"config\.json is not JSON"),
        ({"config.json": b"\xff\xfe"}, r"config\.json is not JSON"),
        ({"config.json": "[]"}, r"config\.json makes no sense: Expected `object`"),
        ({"config.json": {"architectures": ["BertModel"]}}, "describes BertModel; only decoder"),
        ({"config.json": {"architectures": None}}, "describes no architecture"),
        (
            {"config.json": {"architectures": ["T5ForCausalLM"], "is_encoder_decoder": True}},
            "describes T5ForCausalLM; only decoder-only",
        ),
        ({"config.json": {"vocab_size": "many"}}, "no positive number as vocab_size"),
        ({"config.json": {"eos_token_id": "end"}}, r"config\.json makes no sense"),
        (
            {"config.json": {"max_position_embeddings": None}},
            "no positive number as max_position_embeddings or",
        ),
        ({"generation_config.json": "{"}, r"generation_config\.json is not JSON"),
        ({"tokenizer.json": None}, r"has no tokenizer\.json\. Add"),
        (
            {"tokenizer.json": None, "tokenizer.model": b"\n"},
            r"has no tokenizer\.json, only tokenizer\.model\. Add",
        ),
        ({"tokenizer_config.json": {"chat_template": 1}}, "makes no sense: Expected `str | array"),
        ({"chat_template.jinja": b"\xff"}, r"chat_template\.jinja is not UTF-8"),
        ({"model.safetensors": None}, r"no \.safetensors and no pytorch_model\*\.bin"),
    ],
)
def test_what_is_missing_or_damaged_is_named(
    edited: Edited, changes: Changes, message: str
) -> None:
    with pytest.raises(ModelLoadError, match=message) as caught:
        Folder.read(edited(changes))
    assert "\n" not in caught.value.message
