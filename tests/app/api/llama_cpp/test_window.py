from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from codeserve.app.api.llama_cpp.window import Surroundings, cut
from codeserve.engines.worker.wire import Tokenized
from codeserve.model_specs.prompt import ContextFile, PromptFormat
from codeserve.model_specs.segments import Control
from codeserve.model_specs.spec import Fim, Variant

BOS, BEGIN, HOLE, END = 300, 301, 302, 303
NAMES = {"<bos>": BOS, "<begin>": BEGIN, "<hole>": HOLE, "<end>": END}
VARIANT = Variant(
    family="bytes",
    name="bytes",
    context_length=100,
    bos="<bos>",
    control_tokens=NAMES,
    fim=Fim("<begin>", "<hole>", "<end>"),
)
TEXTS = st.text("ab\n", max_size=40)
FILES = st.lists(st.builds(ContextFile, st.just("f"), TEXTS), max_size=4).map(tuple)


def tokenized(around: Surroundings) -> Tokenized:
    """The prompt of ``around`` with a token for each byte."""
    ids: list[int] = []
    for segment in PromptFormat(VARIANT).fim(around.prefix, around.suffix, around.files):
        ids += [NAMES[segment.token]] if isinstance(segment, Control) else segment.text.encode()  # type: ignore[union-attr]
    spellings = tuple(bytes([i]) if i < 256 else b"<>" for i in ids)
    return Tokenized("", tuple(ids), spellings)


@given(st.builds(Surroundings, TEXTS, TEXTS, FILES), st.integers(4, 150))
def test_a_cut_prompt_fits_and_keeps_what_is_nearest(around: Surroundings, most: int) -> None:
    whole = tokenized(around)
    ids = cut(whole, around, most, VARIANT)
    assert len(ids) <= most
    begin, hole, end = (ids.index(marker) for marker in (BEGIN, HOLE, END))
    files, prefix, suffix = (bytes(ids[a + 1 : b]) for a, b in pairwise((0, begin, hole, end)))
    assert ids[0] == BOS
    assert end == len(ids) - 1
    assert around.prefix.encode().endswith(prefix)
    assert around.suffix.encode().startswith(suffix)
    texts = [f"#{file.path}\n{file.text}\n".encode() for file in around.files]
    assert files in [b"".join(texts[first:]) for first in range(len(texts) + 1)]
    if len(whole.token_ids) <= most:
        assert ids == whole.token_ids
    elif (prefix, suffix) != (around.prefix.encode(), around.suffix.encode()):
        assert files == b""
        assert len(ids) == most
