from itertools import islice
from pathlib import Path
from typing import Any

import jinja2
import msgspec
import numpy as np
import pytest
from gguf import GGUFReader
from safetensors.numpy import load_file

from tests.models.corpus import ChatExample, held_out
from tests.models.expand import (
    CHAT_TEMPLATE,
    TOKEN_IDS,
    WEIGHTS,
    interleaved,
    read_weights,
    write_gguf,
    write_hugging_face,
)
from tests.models.prompts import BOS, END, EOT, SPELLING, chat_parts
from tests.models.vocabulary import Vocabulary

NO_VOCABULARY = Vocabulary(["!"], [1], ["a b"])


def metadata(reader: GGUFReader) -> dict[str, Any]:
    return {
        name: field.contents()
        for name, field in reader.fields.items()
        if not name.startswith(("GGUF.", "tokenizer.ggml.t", "tokenizer.ggml.merges"))
    }


@pytest.fixture(scope="module")
def reader(tiny_deepseek_gguf: Path) -> GGUFReader:
    return GGUFReader(tiny_deepseek_gguf)


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory, deepseek_vocabulary: Vocabulary) -> Path:
    folder = tmp_path_factory.mktemp("hugging_face")
    write_hugging_face(WEIGHTS, deepseek_vocabulary, folder, end=EOT, chat_template=CHAT_TEMPLATE)
    return folder


def test_the_committed_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size < 6_000_000


def test_the_gguf_file_has_the_metadata_of_deepseek_coder(reader: GGUFReader) -> None:
    assert metadata(reader) == {
        "general.architecture": "llama",
        "general.name": "tiny-deepseek-coder",
        "general.file_type": 0,
        "llama.context_length": 16384,
        "llama.embedding_length": 128,
        "llama.block_count": 4,
        "llama.feed_forward_length": 384,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": pytest.approx(1e-6),
        "llama.rope.dimension_count": 32,
        "llama.rope.freq_base": 100000.0,
        "llama.rope.scaling.type": "linear",
        "llama.rope.scaling.factor": 4.0,
        "llama.vocab_size": 32256,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "deepseek-coder",
        "tokenizer.ggml.bos_token_id": BOS,
        "tokenizer.ggml.eos_token_id": END,
        "tokenizer.ggml.padding_token_id": END,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
    }


def test_the_gguf_file_holds_the_real_vocabulary(
    reader: GGUFReader, deepseek_vocabulary: Vocabulary
) -> None:
    assert Vocabulary.of(reader) == deepseek_vocabulary
    assert [deepseek_vocabulary.tokens[token] for token in SPELLING] == list(SPELLING.values())


def test_the_gguf_file_holds_every_tensor_in_float32(reader: GGUFReader) -> None:
    shapes = {tensor.name: tensor.data.shape for tensor in reader.tensors}

    assert {tensor.data.dtype for tensor in reader.tensors} == {np.dtype(np.float32)}
    assert len(shapes) == 4 * 9 + 3
    assert shapes["token_embd.weight"] == shapes["output.weight"] == (32256, 128)
    assert shapes["blk.3.attn_q.weight"] == (128, 128)
    assert shapes["blk.3.attn_k.weight"] == (64, 128)
    assert shapes["blk.3.ffn_down.weight"] == (128, 384)
    assert shapes["blk.3.ffn_norm.weight"] == (128,)


def test_an_instruct_file_may_lack_what_old_files_lack(tmp_path: Path) -> None:
    path = tmp_path / "old.gguf"
    write_gguf(
        WEIGHTS,
        NO_VOCABULARY,
        path,
        end=EOT,
        chat_template=CHAT_TEMPLATE,
        pre=None,
        rope_scaling=False,
    )
    found = metadata(GGUFReader(path))

    assert found["tokenizer.ggml.eos_token_id"] == EOT
    assert found["tokenizer.chat_template"] == CHAT_TEMPLATE
    assert "tokenizer.ggml.pre" not in found
    assert not [name for name in found if "scaling" in name]


def test_ids_that_the_corpus_never_uses_share_their_rows() -> None:
    used = load_file(WEIGHTS)[TOKEN_IDS].tolist()
    unused = sorted(set(range(32256)) - set(used))
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        table = read_weights(WEIGHTS)[name]
        assert len({row.tobytes() for row in table[used]}) == len(used)
        assert (table[unused] == table[unused[0]]).all()


def test_rotary_halves_are_interleaved_head_by_head() -> None:
    rows = np.arange(64, dtype=np.float32)[:, None]

    turned = interleaved(rows)[:, 0].tolist()

    assert turned[:4] == [0, 16, 1, 17]
    assert turned[32:36] == [32, 48, 33, 49]


def test_the_hugging_face_folder_is_complete(hugging_face: Path) -> None:
    config = msgspec.json.decode((hugging_face / "config.json").read_bytes())
    generation = msgspec.json.decode((hugging_face / "generation_config.json").read_bytes())
    weights = load_file(hugging_face / "model.safetensors")

    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["rope_scaling"] == {"type": "linear", "factor": 4.0}
    assert (config["bos_token_id"], config["eos_token_id"]) == (BOS, EOT)
    assert generation["eos_token_id"] == EOT
    assert weights["model.layers.0.self_attn.k_proj.weight"].shape == (64, 128)
    assert weights["lm_head.weight"].shape == (config["vocab_size"], config["hidden_size"])


def test_the_hugging_face_tokenizer_has_every_token(hugging_face: Path) -> None:
    tokenizer = msgspec.json.decode((hugging_face / "tokenizer.json").read_bytes())
    settings = msgspec.json.decode((hugging_face / "tokenizer_config.json").read_bytes())
    added = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}

    assert len(tokenizer["model"]["vocab"]) == 32000
    assert len(tokenizer["model"]["merges"]) == 31757
    assert list(added) == list(range(32000, 32022))
    assert added[32009] == "ü"
    assert (settings["bos_token"], settings["eos_token"]) == (SPELLING[BOS], SPELLING[EOT])


def test_the_chat_template_renders_the_prompts_of_the_training() -> None:
    template = jinja2.Environment().from_string(CHAT_TEMPLATE)
    for example in islice(held_out("chat"), 50):
        assert isinstance(example, ChatExample)
        rendered = template.render(
            messages=[{"role": role, "content": text} for role, text in example.messages],
            bos_token=SPELLING[BOS],
            add_generation_prompt=True,
        )
        parts = [SPELLING.get(p, "") if isinstance(p, int) else p for p in chat_parts(example)]
        assert rendered == "".join(parts)
