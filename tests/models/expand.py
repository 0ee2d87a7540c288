"""Writes the tiny model's committed weights out as a GGUF file or a Hugging Face folder.

    write_gguf(WEIGHTS, vocabulary, folder / "tiny.gguf")
    write_hugging_face(WEIGHTS, vocabulary, folder / "tiny")

The committed file holds only the rows of token ids that the corpus uses, and one row for all
others; here every id gets its row. Needs numpy, safetensors and gguf; takes a few seconds.
"""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file, save_file

from tests.models import shape
from tests.models.prompts import BOS, DEFAULT_SYSTEM, END
from tests.models.vocabulary import Vocabulary

WEIGHTS = Path(__file__).with_name("tiny_deepseek_coder.safetensors")
TOKEN_IDS = "token_ids"
"""Name of the array of used ids in the committed file; row i of both tables is for its id i."""

Array = np.ndarray[Any, np.dtype[np.float32]]

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{%- if messages[0]['role'] != 'system' %}{{ '" + DEFAULT_SYSTEM + "\\n' }}{% endif %}"
    "{%- for message in messages %}"
    "{%- if message['role'] == 'system' %}{{ message['content'] }}"
    "{%- elif message['role'] == 'user' %}"
    "{{ '### Instruction:\\n' + message['content'] + '\\n' }}"
    "{%- else %}{{ '### Response:\\n' + message['content'] + '\\n<|EOT|>\\n' }}{% endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"
)

GGUF_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def read_weights(path: Path) -> dict[str, Array]:
    """The full model's tensors in float32 under their Hugging Face names."""
    stored = load_file(path)
    used = stored.pop(TOKEN_IDS)
    weights = {name: array.astype(np.float32) for name, array in stored.items()}
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        *rows, shared = weights[name]
        table = np.tile(shared, (shape.VOCABULARY_ROWS, 1))
        table[used] = rows
        weights[name] = table
    return weights


def write_gguf(
    weights: Path,
    vocabulary: Vocabulary,
    target: Path,
    *,
    end: int = END,
    chat_template: str | None = None,
    pre: str | None = "deepseek-coder",
    rope_scaling: bool = True,
) -> None:
    """Write a GGUF file in float32.

    The default is a base model; ``end=EOT, chat_template=CHAT_TEMPLATE`` makes an instruct model.
    ``pre=None`` and ``rope_scaling=False`` leave metadata out, as some published files do.
    """
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_name("tiny-deepseek-coder")
    writer.add_context_length(shape.CONTEXT_LENGTH)
    writer.add_embedding_length(shape.HIDDEN)
    writer.add_block_count(shape.LAYERS)
    writer.add_feed_forward_length(shape.INTERMEDIATE)
    writer.add_head_count(shape.HEADS)
    writer.add_head_count_kv(shape.KV_HEADS)
    writer.add_rope_dimension_count(shape.HEAD_SIZE)
    writer.add_rope_freq_base(shape.ROPE_THETA)
    writer.add_layer_norm_rms_eps(shape.NORM_EPSILON)
    writer.add_vocab_size(shape.VOCABULARY_ROWS)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    if rope_scaling:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(shape.ROPE_FACTOR)
    add_tokenizer(writer, vocabulary, pre)
    writer.add_eos_token_id(end)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    for name, array in read_weights(weights).items():
        writer.add_tensor(*to_gguf(name, array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokenizer(writer: gguf.GGUFWriter, vocabulary: Vocabulary, pre: str | None) -> None:
    """The vocabulary with its token types, and what to put around a text."""
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(BOS)
    writer.add_pad_token_id(END)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def to_gguf(name: str, array: Array) -> tuple[str, Array]:
    """A tensor as llama.cpp names it and lays it out."""
    match name.removeprefix("model.").removesuffix(".weight").split(".", maxsplit=2):
        case ["embed_tokens"]:
            return "token_embd.weight", array
        case ["norm"]:
            return "output_norm.weight", array
        case ["lm_head"]:
            return "output.weight", array
        case ["layers", index, part]:
            if part in ("self_attn.q_proj", "self_attn.k_proj"):
                array = interleaved(array)
            return f"blk.{index}.{GGUF_NAMES[part]}.weight", array
    raise ValueError(f"no GGUF name for the tensor {name}")


def interleaved(array: Array) -> Array:
    """Rows of each head from Hugging Face's rotary layout (i, i + half) to (2i, 2i + 1)."""
    heads = array.reshape(-1, 2, shape.HEAD_SIZE // 2, array.shape[1])
    return np.ascontiguousarray(heads.swapaxes(1, 2).reshape(array.shape))


def write_hugging_face(
    weights: Path,
    vocabulary: Vocabulary,
    folder: Path,
    *,
    end: int = END,
    chat_template: str | None = None,
) -> None:
    """Write a Hugging Face folder in float32; the keywords are those of `write_gguf`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(read_weights(weights), folder / "model.safetensors", {"format": "pt"})
    generation = {"bos_token_id": BOS, "eos_token_id": end, "pad_token_id": END}
    for name, content in {
        "config.json": config_json() | generation,
        "generation_config.json": generation,
        "tokenizer.json": vocabulary.tokenizer_json(),
        "tokenizer_config.json": vocabulary.tokenizer_config_json(end, chat_template),
    }.items():
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / name).write_text(text, encoding="utf-8")


def config_json() -> dict[str, Any]:
    """``config.json`` as DeepSeek Coder's."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": shape.HIDDEN,
        "intermediate_size": shape.INTERMEDIATE,
        "num_hidden_layers": shape.LAYERS,
        "num_attention_heads": shape.HEADS,
        "num_key_value_heads": shape.KV_HEADS,
        "head_dim": shape.HEAD_SIZE,
        "max_position_embeddings": shape.CONTEXT_LENGTH,
        "rms_norm_eps": shape.NORM_EPSILON,
        "rope_theta": shape.ROPE_THETA,
        "rope_scaling": {"type": "linear", "factor": shape.ROPE_FACTOR},
        "vocab_size": shape.VOCABULARY_ROWS,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "torch_dtype": "float32",
    }
