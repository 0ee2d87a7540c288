from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.weights import Weights
from codeserve.engines.structured.grammar_compiler import GrammarCompiler
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.spec import Variant

VOCABULARY = "ggml-vocab-deepseek-coder.gguf"


@pytest.fixture(scope="session")
def variant() -> Variant:
    variants = {f"{v.family} {v.name}": v for v in Catalog.load().variants()}
    return variants["deepseek-coder-instruct v1"]


@pytest.fixture(scope="session")
def tokenizer(deepseek_vocabulary_folder: Path, variant: Variant) -> Iterator[Tokenizer]:
    with (
        closing(LlamaLog()) as log,
        closing(Weights.head_of(deepseek_vocabulary_folder / VOCABULARY, log)) as weights,
    ):
        yield Tokenizer(weights.vocabulary, variant)


@pytest.fixture(scope="session")
def compiler(tokenizer: Tokenizer, variant: Variant) -> GrammarCompiler:
    assert variant.vocab_rows is not None
    return GrammarCompiler(tokenizer, variant.vocab_rows, variant.stop_ids)
