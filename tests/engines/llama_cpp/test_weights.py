from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.llama_cpp import repairs
from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.llama_cpp.weights import Weights, check_file


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"nowhere\.gguf does not exist"):
        check_file(tmp_path / "nowhere.gguf")


def test_a_folder_is_not_a_gguf_file(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="is a folder"):
        check_file(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip archive"])
def test_another_format_is_refused_by_its_first_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelLoadError, match="is not a GGUF file: it begins with b'") as caught:
        check_file(path)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("share", "cause"),
    [(0.5, "not within the file bounds"), (0.0001, "failed to read key-value pairs")],
)
def test_a_truncated_file_is_refused_with_llama_cpps_reason(
    tmp_path: Path, smollm2_path: Path, log: LlamaLog, share: float, cause: str
) -> None:
    path = tmp_path / "half.gguf"
    content = smollm2_path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelLoadError, match=cause) as caught:
        Weights.load(path, LlamaCppOptions.of({}), repairs.overrides(()), lambda _: None, log)
    assert "half.gguf could not be loaded: " in caught.value.message
    assert "gives no reason" not in caught.value.message
    assert "\n" not in caught.value.message


def test_loading_reports_its_progress_to_the_end(smollm2_path: Path, log: LlamaLog) -> None:
    seen: list[float] = []
    options = LlamaCppOptions.of({})
    with closing(
        Weights.load(smollm2_path, options, repairs.overrides(()), seen.append, log)
    ) as weights:
        assert weights.parameters == 134_515_008
        assert weights.device(options) == "cpu"
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_metadata_is_read_as_text_and_may_be_long(
    smollm2_path: Path, open_head: Callable[[Path], Weights]
) -> None:
    head = open_head(smollm2_path)
    assert head.metadata("llama.block_count") == "30"
    assert head.metadata("no.such.key") is None
    assert head.chat_template is not None
    assert head.chat_template.endswith("{% endif %}")
    assert head.trained_context_length == 8192


def test_closing_twice_frees_once(smollm2_path: Path, log: LlamaLog) -> None:
    head = Weights.head_of(smollm2_path, log)
    head.close()
    head.close()
    assert head.pointer is None
