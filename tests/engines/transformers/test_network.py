"""Logits of ragged steps, beside those of the library's own forward pass over whole texts."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from codeserve.engines.transformers.network import Network
from tests.engines.transformers.chunks import Piece, scored, some_ids

CLOSE = 2e-4
"""How far float32 logits of up to about 20 may be apart: sums in another order."""


def of_library(model: Any, ids: Sequence[int]) -> Any:
    with torch.inference_mode():
        return model(torch.tensor([list(ids)])).logits[0].numpy()


def assert_close(logits: Any, expected: Any) -> None:
    assert logits.shape == expected.shape
    assert np.abs(logits - expected).max() < CLOSE
    assert (logits.argmax(axis=-1) == expected.argmax(axis=-1)).all()


def test_a_text_has_the_librarys_logits(network: Network, library_model: Any) -> None:
    ids = some_ids(100, seed=1)
    assert_close(network.logits([scored(0, ids)]), of_library(library_model, ids))


def test_a_text_in_chunks_has_those_of_the_whole(network: Network, library_model: Any) -> None:
    ids = some_ids(150, seed=2)
    parts = [
        network.logits([scored(0, ids[start:end], start)])
        for start, end in [(0, 64), (64, 65), (65, 149), (149, 150)]
    ]
    assert_close(np.concatenate(parts), of_library(library_model, ids))


def test_texts_computed_together_have_those_of_each(network: Network, library_model: Any) -> None:
    texts = [some_ids(count, seed=count) for count in (40, 7, 23, 90)]
    network.logits([Piece(slot, text[:5]) for slot, text in enumerate(texts)])
    pieces = [scored(slot, text[5:-1], start=5) for slot, text in enumerate(texts)]
    rows = network.logits([pieces[2], pieces[0], pieces[3], pieces[1]])
    expected = [of_library(library_model, texts[slot])[5:-1] for slot in (2, 0, 3, 1)]
    assert_close(rows, np.concatenate(expected))
    lasts = network.logits([Piece(s, text[-1:], len(text) - 1) for s, text in enumerate(texts)])
    assert_close(lasts, np.stack([of_library(library_model, text)[-1] for text in texts]))


def test_only_rows_that_are_wanted_come_back(network: Network) -> None:
    ids = some_ids(30, seed=3)
    all_rows = network.logits([scored(0, ids)])
    assert network.logits([Piece(1, ids[:20], samples=False)]).size == 0
    drafted = network.logits([Piece(1, ids[20:], start=20, drafts=3)])
    assert_close(drafted, all_rows[-4:])


def test_slots_with_one_token_can_attend_together(
    network: Network, make_network: Callable[..., Network], tiny_deepseek_folder: Path
) -> None:
    """As they do on a GPU, to a padded copy of their cells."""
    together = make_network(tiny_deepseek_folder, together=True)
    texts = [some_ids(count, seed=count) for count in (50, 3, 61)]
    lasts: list[Piece] = [Piece(slot, [7], start=len(text)) for slot, text in enumerate(texts)]
    lasts.append(Piece(5, some_ids(9, seed=9)))
    for each in (network, together):
        each.logits([Piece(slot, text, samples=False) for slot, text in enumerate(texts)])
    assert_close(together.logits(lasts), network.logits(lasts))


def test_a_fork_goes_on_as_its_source(network: Network) -> None:
    ids = some_ids(80, seed=4)
    expected = network.logits([scored(0, ids)])
    network.kv.cells.trim(0, 60)
    network.kv.cells.fork(0, 1, 0, 50)
    network.kv.cells.fork(0, 2, 0, 60)
    assert_close(network.logits([scored(1, ids[50:], start=50)]), expected[50:])
    first = network.logits([scored(0, ids[60:], start=60)])
    forked = network.logits([scored(2, ids[60:], start=60)])
    assert (first == forked).all(), "the same keys and values, wherever they lie"


def test_what_is_trimmed_leaves_no_trace(network: Network) -> None:
    ids = some_ids(40, seed=5)
    network.logits([Piece(0, ids[:30], samples=False)])
    expected = network.logits([scored(0, ids[30:], start=30)])
    network.kv.cells.trim(0, 30)
    network.logits([Piece(0, some_ids(20, seed=6), start=30)])
    network.kv.cells.trim(0, 30)
    assert (network.logits([scored(0, ids[30:], start=30)]) == expected).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_saved_comes_back_to_the_bit(
    dtype: str, make_network: Callable[..., Network], tiny_deepseek_folder: Path
) -> None:
    network = make_network(tiny_deepseek_folder, getattr(torch, dtype))
    cells, ids = network.kv.cells, some_ids(100, seed=7)
    network.logits([Piece(0, ids[:80], samples=False)])
    spans = [(start, start + 16) for start in range(0, 80, 16)]
    blocks = [network.kv.save(0, start, end) for start, end in spans]
    expected = network.logits([scored(0, ids[80:], start=80)])
    cells.trim(0, 0)
    network.logits([Piece(0, some_ids(100, seed=8))])
    for (start, end), block in zip(spans, blocks, strict=True):
        assert network.kv.restore(3, block)
        cells.fork(3, 4, start, end)
        cells.trim(3, 0)
    assert (network.logits([scored(4, ids[80:], start=80)]) == expected).all()


def test_what_was_saved_elsewhere_is_refused(network: Network) -> None:
    network.logits([Piece(0, some_ids(20, seed=8))])
    data = network.kv.save(0, 0, 16)
    assert not network.kv.restore(1, data[:-1])
    assert not network.kv.restore(1, b"")
    assert network.kv.cells.length(1) == 0


def test_the_cache_may_be_smaller_than_the_model(
    tiny_deepseek_folder: Path, make_network: Callable[..., Network], library_model: Any
) -> None:
    ids = some_ids(60, seed=9)
    rows = make_network(tiny_deepseek_folder, kv_dtype=torch.bfloat16).logits([scored(0, ids)])
    assert 0 < np.abs(rows - of_library(library_model, ids)).max() < 1


def test_a_random_model_of_other_proportions_has_the_librarys_logits(
    tmp_path: Path, tiny_deepseek_folder: Path, make_network: Callable[..., Network]
) -> None:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=32256,
        hidden_size=96,
        intermediate_size=160,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=1024,
        initializer_range=0.2,
    )
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny_deepseek_folder / name).read_bytes())
    network = make_network(tmp_path)
    ids = some_ids(70, seed=10)
    parts = [network.logits([scored(0, ids[:33])]), network.logits([scored(0, ids[33:], start=33)])]
    assert_close(np.concatenate(parts), of_library(model, ids))
