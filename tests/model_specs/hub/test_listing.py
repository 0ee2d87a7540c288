"""Of all that a repository holds, the files that a model needs."""

import pytest

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.listing import Listing, RemoteFile, entry, lacks, select
from codeserve.model_specs.spec import Hub

PARTS = tuple(f"big.Q8_0-0000{part}-of-00003.gguf" for part in (1, 2, 3))
GGUF = ("README.md", "config.json", "small.Q2_K.gguf", "small.Q8_0.gguf", *PARTS)


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        (("small.Q2_K.gguf",), ("small.Q2_K.gguf",)),
        (("small.*.gguf",), ("small.Q2_K.gguf", "small.Q8_0.gguf")),
        (("*.md", "config.json"), ("README.md", "config.json")),
        (("big.Q8_0.gguf",), PARTS),
        ((PARTS[1],), PARTS),
        (("big*",), PARTS),
    ],
)
def test_names_patterns_and_split_files_select(
    patterns: tuple[str, ...], wanted: tuple[str, ...]
) -> None:
    assert select(GGUF, patterns) == wanted


def test_a_name_is_taken_before_the_pattern_that_it_also_is() -> None:
    assert select(("a[1].gguf", "a1.gguf"), ("a[1].gguf",)) == ("a[1].gguf",)


def test_a_pattern_that_nothing_matches_names_the_nearest_files() -> None:
    with pytest.raises(PullError, match=r"no file small\.Q9_0\.gguf; there is: small\.Q8_0\.gguf"):
        select(GGUF, ("small.Q8_0.gguf", "small.Q9_0.gguf"))


def test_a_folder_has_text_files_and_its_best_kind_of_weights() -> None:
    names = (
        "config.json",
        "tokenizer.model",
        "chat_template.jinja",
        "model.safetensors",
        "pytorch_model.bin",
        "training_args.bin",
        "onnx/model.safetensors",
        "README.md",
    )
    chosen = ("chat_template.jinja", "config.json", "model.safetensors", "tokenizer.model")
    assert select(names, ()) == chosen
    older = tuple(name for name in names if name != "model.safetensors")
    assert "pytorch_model.bin" in select(older, ())
    assert "training_args.bin" not in select(older, ())


@pytest.mark.parametrize(
    ("names", "lacking"),
    [
        (("config.json", "small.gguf"), "weights"),
        (("model.safetensors",), r"config\.json"),
        (("README.md",), "weights"),
    ],
)
def test_a_folder_without_weights_or_configuration_is_no_model(
    names: tuple[str, ...], lacking: str
) -> None:
    with pytest.raises(PullError, match=f"it has no {lacking}") as raised:
        select(names, ())
    assert raised.value.code == "not_a_model"


@pytest.mark.parametrize(
    ("names", "patterns", "given"),
    [
        (PARTS, ("big.Q8_0.gguf",), PARTS[0]),
        (("small.Q2_K.gguf",), ("*.gguf",), "small.Q2_K.gguf"),
        (("config.json", "small.Q2_K.gguf"), ("*",), "small.Q2_K.gguf"),
        (("config.json", "model.safetensors"), ("*",), None),
        (("config.json", "model.safetensors"), (), None),
    ],
)
def test_an_engine_is_given_a_gguf_file_its_first_part_or_the_folder(
    names: tuple[str, ...], patterns: tuple[str, ...], given: str | None
) -> None:
    assert entry(names, patterns) == given


def test_the_parts_that_a_split_file_lacks_are_known() -> None:
    assert lacks(PARTS[:2]) == [PARTS[2]]
    assert lacks((*PARTS, "small.Q2_K.gguf")) == []


@pytest.mark.parametrize("name", ["../../.bashrc.gguf", "/etc/passwd.gguf", "a/../../b.gguf"])
def test_a_name_that_leads_elsewhere_is_never_taken(name: str) -> None:
    artifact = Artifact(hub=Hub.MODELSCOPE, repository="me/mine", files=("*.gguf",))
    listing = Listing(
        artifact=artifact,
        commit=None,
        files=(RemoteFile(name=name, bytes=1), RemoteFile(name="mine.gguf", bytes=1)),
    )
    assert [file.name for file in listing.needed().files] == ["mine.gguf"]
