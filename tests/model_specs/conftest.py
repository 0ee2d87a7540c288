"""The shipped catalogue, and a small family file to break."""

import pytest

from codeserve.model_specs.catalog import Catalog


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog.load()


@pytest.fixture
def family_text() -> str:
    return """\
model_name = "mine"
description = "A model of my own."
languages = ["en"]
abilities = ["generate", "chat"]

[[variants]]
name = "v1"
context_length = 2048
vocab_rows = 300
bos = "<bos>"
eos = "<eos>"
control_tokens = { "<bos>" = 256, "<eos>" = 257, "<hole>" = 258 }
padding_rows = [290, 299]
stop_tokens = ["<eos>"]

[variants.golden]
encode = [{ text = "a", ids = [97] }]

[[specs]]
size_in_billions = "1_3"
model_format = "ggufv2"
variant = "v1"
quantizations = ["Q8_0", "Q4_0"]
default_quantization = "Q8_0"
engines = ["llama.cpp"]
sources = [{ hub = "huggingface", model_id = "me/mine", file = "mine.{quantization}.gguf" }]
"""
