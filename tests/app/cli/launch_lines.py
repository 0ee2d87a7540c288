"""Xinference's launch lines for DeepSeek Coder, and the published weights that each one means."""

from collections.abc import Iterator
from typing import NamedTuple

GGUF = "Q2_K Q3_K_L Q3_K_M Q3_K_S Q4_0 Q4_K_M Q4_K_S Q5_0 Q5_K_M Q5_K_S Q6_K Q8_0"

# Size, repository, and the revision or the file.
WEIGHTS = {
    ("deepseek-coder", "pytorch"): [
        ("1_3", "deepseek-ai/deepseek-coder-1.3b-base", "c919139c3a9b4070729c8b2cca4847ab29ca8d94"),
        ("6_7", "deepseek-ai/deepseek-coder-6.7b-base", "ce2207a8bfef3ee92bd7dd4cc31c52cfa0046912"),
        (
            "7",
            "deepseek-ai/deepseek-coder-7b-base-v1.5",
            "98f0904cee2237e235f10408ae12292037b21dac",
        ),
        ("33", "deepseek-ai/deepseek-coder-33b-base", "45c85cadf3720ef3e85a492e24fd4b8c5d21d8ac"),
    ],
    ("deepseek-coder", "ggufv2"): [
        (
            "1_3",
            "TheBloke/deepseek-coder-1.3b-base-GGUF",
            "deepseek-coder-1.3b-base.{quantization}.gguf",
        ),
        (
            "6_7",
            "TheBloke/deepseek-coder-6.7B-base-GGUF",
            "deepseek-coder-6.7b-base.{quantization}.gguf",
        ),
        (
            "7",
            "dagbs/deepseek-coder-7b-base-v1.5-GGUF",
            "deepseek-coder-7b-base-v1.5.{quantization}.gguf",
        ),
        (
            "33",
            "TheBloke/deepseek-coder-33B-base-GGUF",
            "deepseek-coder-33b-base.{quantization}.gguf",
        ),
    ],
    ("deepseek-coder", "gptq"): [
        (
            "1_3",
            "TheBloke/deepseek-coder-1.3b-base-GPTQ",
            "a5bf3b76d70cda53327311a631b1003024d5de29",
        ),
        (
            "6_7",
            "TheBloke/deepseek-coder-6.7B-base-GPTQ",
            "6476ea3d6e623a1313d363dbc6e172773e031bb1",
        ),
        ("33", "TheBloke/deepseek-coder-33B-base-GPTQ", "f527d7325e463a5cb091d044e4f2b15902674a70"),
    ],
    ("deepseek-coder", "awq"): [
        (
            "1_3",
            "TheBloke/deepseek-coder-1.3b-base-AWQ",
            "ffb66f1a2a194401b4f29025edcd261d7f0a08a7",
        ),
        (
            "6_7",
            "TheBloke/deepseek-coder-6.7B-base-AWQ",
            "e3d4bdf39712665f5e9d5c05c9df6f20fe1e2d5a",
        ),
        ("33", "TheBloke/deepseek-coder-33B-base-AWQ", "c7edb2d5868d61a5dcf2591933a8992c8cbe3ef4"),
    ],
    ("deepseek-coder-instruct", "pytorch"): [
        (
            "1_3",
            "deepseek-ai/deepseek-coder-1.3b-instruct",
            "2df081ceaca101a867fef2844e44f4d6a4857039",
        ),
        (
            "6_7",
            "deepseek-ai/deepseek-coder-6.7b-instruct",
            "cbb77d7448ea3168d884758817e7f895e3828d1c",
        ),
        (
            "7",
            "deepseek-ai/deepseek-coder-7b-instruct-v1.5",
            "2a050a4c59d687a85324d32e147517992117ed30",
        ),
        (
            "33",
            "deepseek-ai/deepseek-coder-33b-instruct",
            "ea15d17db84d1fc94ac5cba8e6fa97764c9549d3",
        ),
    ],
    ("deepseek-coder-instruct", "ggufv2"): [
        (
            "1_3",
            "TheBloke/deepseek-coder-1.3b-instruct-GGUF",
            "deepseek-coder-1.3b-instruct.{quantization}.gguf",
        ),
        (
            "6_7",
            "TheBloke/deepseek-coder-6.7B-instruct-GGUF",
            "deepseek-coder-6.7b-instruct.{quantization}.gguf",
        ),
        (
            "7",
            "LoneStriker/deepseek-coder-7b-instruct-v1.5-GGUF",
            "deepseek-coder-7b-instruct-v1.5-{quantization}.gguf",
        ),
        (
            "33",
            "TheBloke/deepseek-coder-33B-instruct-GGUF",
            "deepseek-coder-33b-instruct.{quantization}.gguf",
        ),
    ],
    ("deepseek-coder-instruct", "gptq"): [
        (
            "1_3",
            "TheBloke/deepseek-coder-1.3b-instruct-GPTQ",
            "9c002e9af6cbdf3bd9244e2d7264b6a35d1dcacf",
        ),
        (
            "6_7",
            "TheBloke/deepseek-coder-6.7B-instruct-GPTQ",
            "13ccea6e3a43dcfdcb655d92097610018b431a17",
        ),
        (
            "33",
            "TheBloke/deepseek-coder-33B-instruct-GPTQ",
            "08372729d98dfc248f9531a412fe69e14e607027",
        ),
    ],
    ("deepseek-coder-instruct", "awq"): [
        (
            "1_3",
            "TheBloke/deepseek-coder-1.3b-instruct-AWQ",
            "a2a484da6e4146d055316a9a63cf5b13955715a4",
        ),
        (
            "6_7",
            "TheBloke/deepseek-coder-6.7B-instruct-AWQ",
            "502ae3e19e57ae78dc30a791ba33c565da72dc62",
        ),
        (
            "33",
            "TheBloke/deepseek-coder-33B-instruct-AWQ",
            "c40b499bac2712cd3c445cf1b05d2c6558ab0d29",
        ),
    ],
}

# Files that were never published.
MISSING = {("deepseek-coder", "7", "Q4_0"), ("deepseek-coder-instruct", "7", "Q2_K")}


class LaunchLine(NamedTuple):
    """One line of the model page without its first word, and what it must fetch."""

    arguments: tuple[str, ...]
    engine: str
    sources: tuple[tuple[str, str, str | None, tuple[str, ...]], ...]
    """Hub, repository, revision and files, best first."""


def launch_lines() -> Iterator[LaunchLine]:
    """A line for each spec, engine and quantisation of the page."""
    for (family, model_format), rows in WEIGHTS.items():
        for size, repository, pin in rows:
            for engine, quantization in _choices(model_format):
                if (family, size, quantization) in MISSING:
                    continue
                line = f"launch --model-engine {engine} --model-name {family} "
                line += f"--size-in-billions {size} --model-format {model_format} "
                line += f"--quantization {quantization}"
                sources = _sources(model_format, size, repository, pin, quantization)
                yield LaunchLine(tuple(line.split()), engine.lower(), tuple(sources))


def _choices(model_format: str) -> Iterator[tuple[str, str]]:
    """Engines with the quantisations that the page has for them."""
    if model_format == "ggufv2":
        yield from (("llama.cpp", quantization) for quantization in GGUF.split())
    elif model_format == "pytorch":
        yield "vLLM", "none"
        yield from (("Transformers", quantization) for quantization in ("none", "4-bit", "8-bit"))
    else:
        yield from (("vLLM", "Int4"), ("Transformers", "Int4"))


def _sources(
    model_format: str, size: str, repository: str, pin: str, quantization: str
) -> Iterator[tuple[str, str, str | None, tuple[str, ...]]]:
    if model_format == "ggufv2":
        yield "huggingface", repository, None, (pin.format(quantization=quantization),)
        return
    yield "huggingface", repository, pin, ()
    if model_format == "pytorch" and size != "7":
        yield "modelscope", repository, None, ()
