from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from codeserve.app.api.generation.json_frames import HOLE, JsonFrames


class Document(BaseModel):
    model: str
    text: str
    index: int

    @classmethod
    def of(cls, model: str, index: int, text: str) -> "Document":
        return cls(model=model, text=text, index=index)


@given(
    texts=st.lists(st.text(), min_size=1),
    model=st.text() | st.just(HOLE),
    kinds=st.lists(st.integers(0, 2), min_size=1),
)
def test_a_frame_is_its_document_in_json(texts: list[str], model: str, kinds: list[int]) -> None:
    frames = JsonFrames(lambda document: b"<" + document + b">")
    for kind in kinds:
        make = partial(Document.of, model, kind)
        for text in texts:
            frame = frames.frame(kind, text, make)
            assert frame == b"<" + make(text).model_dump_json().encode() + b">"
