import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.weights import Weights
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.spec import Variant

STRING, ARRAY = 8, 9
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
HEADER = struct.Struct("<4sIQQ")

Value = str | int | float | bool | None


class GgufFile:
    """The bytes of a GGUF file without tensors, editable by key."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        self._fields: dict[str, bytes] = {}
        *_, count = HEADER.unpack_from(self._data)
        at = HEADER.size
        for _ in range(count):
            start, at = at, self._after_string(at)
            key = self._data[start + 8 : at].decode()
            (kind,) = struct.unpack_from("<I", self._data, at)
            at = self._after(kind, at + 4)
            self._fields[key] = self._data[start:at]

    def put(self, key: str, value: Value) -> None:
        """Set ``key``; None removes it."""
        self._fields.pop(key, None)
        if value is None:
            return
        name = struct.pack("<Q", len(key.encode())) + key.encode()
        match value:
            case bool():
                self._fields[key] = name + struct.pack("<I?", 7, value)
            case int():
                self._fields[key] = name + struct.pack("<II", 4, value)
            case float():
                self._fields[key] = name + struct.pack("<If", 6, value)
            case str():
                text = value.encode()
                self._fields[key] = name + struct.pack("<IQ", STRING, len(text)) + text

    def retype(self, token_id: int, token_type: int) -> None:
        """Give a token another type (``llama_token_type``)."""
        key = "tokenizer.ggml.token_type"
        field = bytearray(self._fields[key])
        struct.pack_into("<i", field, 8 + len(key) + 16 + 4 * token_id, token_type)
        self._fields[key] = bytes(field)

    def write(self, path: Path) -> Path:
        magic, version, tensors, _ = HEADER.unpack_from(self._data)
        header = HEADER.pack(magic, version, tensors, len(self._fields))
        path.write_bytes(header + b"".join(self._fields.values()))
        return path

    def _after(self, kind: int, at: int) -> int:
        if kind == STRING:
            return self._after_string(at)
        if kind != ARRAY:
            return at + struct.calcsize(SCALARS[kind])
        item, count = struct.unpack_from("<IQ", self._data, at)
        at += 12
        if item != STRING:
            return at + int(count) * struct.calcsize(SCALARS[item])
        for _ in range(count):
            at = self._after_string(at)
        return at

    def _after_string(self, at: int) -> int:
        (length,) = struct.unpack_from("<Q", self._data, at)
        return at + 8 + int(length)


@pytest.fixture
def log() -> Iterator[LlamaLog]:
    with closing(LlamaLog()) as log:
        yield log


@pytest.fixture
def open_head(log: LlamaLog) -> Iterator[Callable[[Path], Weights]]:
    """Opens a file's metadata and vocabulary until the test ends."""
    with ExitStack() as resources:
        yield lambda path: resources.enter_context(closing(Weights.head_of(path, log)))


@pytest.fixture(scope="session")
def variants() -> Mapping[str, Variant]:
    """Every variant of the catalogue, by family and name."""
    return {f"{v.family} {v.name}": v for v in Catalog.load().variants()}


@pytest.fixture(scope="session")
def v1_file(deepseek_vocabulary_folder: Path) -> Path:
    return deepseek_vocabulary_folder / "ggml-vocab-deepseek-coder.gguf"


@pytest.fixture(scope="session")
def v15_file(deepseek_vocabulary_folder: Path) -> Path:
    return deepseek_vocabulary_folder / "ggml-vocab-deepseek-llm.gguf"


@pytest.fixture
def v1_tokenizer(
    v1_file: Path, open_head: Callable[[Path], Weights], variants: Mapping[str, Variant]
) -> Tokenizer:
    return Tokenizer(open_head(v1_file).vocabulary, variants["deepseek-coder v1"])


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """A copy of a vocabulary file with other metadata; None removes a key."""

    def edit(source: Path, changes: Mapping[str, Value]) -> Path:
        file = GgufFile(source)
        for key, value in changes.items():
            file.put(key, value)
        return file.write(tmp_path / "edited.gguf")

    return edit


@pytest.fixture
def retyped(tmp_path: Path) -> Callable[..., Path]:
    """A copy of a vocabulary file with other token types."""

    def edit(source: Path, types: Mapping[int, int]) -> Path:
        file = GgufFile(source)
        for token_id, token_type in types.items():
            file.retype(token_id, token_type)
        return file.write(tmp_path / "retyped.gguf")

    return edit
