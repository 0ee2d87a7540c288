import asyncio
import inspect
import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.engines import errors
from codeserve.engines.errors import ModelLoadError, QueueFull, ServingError
from codeserve.engines.types import (
    EngineConfig,
    EngineInfo,
    EngineLoad,
    FinishReason,
    SamplingParams,
    TextDelta,
    TextRequest,
    Usage,
)
from codeserve.engines.worker.wire import (
    LENGTH_BYTES,
    MAX_FRAME_BYTES,
    Abort,
    Accepted,
    Command,
    Deltas,
    ErrorReport,
    Event,
    Failed,
    FrameReader,
    FrameTooLarge,
    Generate,
    Heartbeat,
    Load,
    LoadFailed,
    LoadProgress,
    Ready,
    Refused,
    Shutdown,
    WireError,
    pack,
)
from codeserve.model_specs.segments import Content, Control, Ids, Text
from codeserve.model_specs.spec import Variant

texts = st.text(st.characters(codec="utf-8"), max_size=30)
names = st.text(string.ascii_letters, min_size=1, max_size=8)
token_ids = st.lists(st.integers(0, 2**31 - 1), max_size=5).map(tuple)
counts = st.integers(0, 2**31 - 1)
numbers = st.floats(allow_nan=False)
error_classes = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, ServingError)
]
reports = st.builds(
    ErrorReport,
    kind=st.sampled_from([kind.__name__ for kind in error_classes]),
    message=texts,
    param=st.none() | names,
    code=st.none() | names,
    retry_after=st.none() | numbers,
)
segments = (
    st.builds(Control, names)
    | st.builds(Text, texts)
    | st.builds(Content, texts)
    | st.builds(Ids, token_ids)
)
requests = st.builds(
    TextRequest,
    id=names,
    prompt=st.lists(segments, max_size=4).map(tuple),
    max_tokens=st.none() | counts,
    stop=st.lists(texts, max_size=2).map(tuple),
    sampling=st.builds(
        SamplingParams,
        temperature=numbers,
        seed=st.none() | counts,
        logit_bias=st.dictionaries(counts, numbers, max_size=3),
    ),
)
variants = st.builds(
    Variant,
    family=names,
    name=names,
    context_length=counts,
    control_tokens=st.dictionaries(texts, counts, max_size=2),
    padding_rows=st.none() | st.tuples(counts, counts),
)
settings = st.dictionaries(names, st.integers(-(2**63), 2**63 - 1) | texts | st.booleans())
configs = st.builds(
    EngineConfig,
    engine=names,
    path=texts,
    variants=st.lists(variants, max_size=2).map(tuple),
    options=settings,
)
infos = st.builds(
    EngineInfo,
    engine=names,
    engine_version=texts,
    device=texts,
    variant=variants,
    context_length=counts,
    max_concurrency=counts,
    trained_context_length=counts,
    vocab_size=counts,
    parameters=counts,
    weights_bytes=counts,
    repairs=st.lists(texts, max_size=2).map(tuple),
    settings=settings,
)
deltas = st.builds(
    TextDelta,
    text=texts,
    token_ids=token_ids,
    finish_reason=st.none() | st.sampled_from(FinishReason),
    stop_reason=st.none() | texts | counts,
    usage=st.none() | st.builds(Usage, counts, counts, counts),
)
commands = (
    st.builds(Load, configs)
    | st.builds(Generate, requests)
    | st.builds(Abort, names)
    | st.just(Shutdown())
)
events = (
    st.builds(LoadProgress, names, numbers)
    | st.builds(Ready, infos)
    | st.builds(LoadFailed, reports)
    | st.builds(Accepted, names, counts)
    | st.builds(Refused, names, reports)
    | st.builds(Deltas, st.lists(st.tuples(names, deltas), max_size=4).map(tuple))
    | st.builds(Failed, names, reports)
    | st.builds(Heartbeat, st.builds(EngineLoad, counts, counts, counts))
)


def read_all(data: bytes, union: Any) -> list[Any]:
    """Every message in ``data``, which ends with the end of the connection."""

    async def read() -> list[Any]:
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        reader: FrameReader[Any] = FrameReader(stream, union)
        messages = []
        while message := await reader.read():
            messages.append(message)
        return messages

    return asyncio.run(read())


@given(st.lists(commands, max_size=3))
def test_commands_arrive_as_they_were_sent(sent: list[Command]) -> None:
    assert read_all(b"".join(map(pack, sent)), Command) == sent


@given(st.lists(events, max_size=3))
def test_events_arrive_as_they_were_sent(sent: list[Event]) -> None:
    assert read_all(b"".join(map(pack, sent)), Event) == sent


def test_a_connection_that_ends_in_mid_frame_ends_the_messages() -> None:
    frames = pack(Abort("first")) + pack(Abort("second"))
    assert read_all(frames[:-1], Command) == [Abort("first")]


def test_a_message_over_the_limit_is_not_sent() -> None:
    request = TextRequest(id="1", prompt=(Content("x" * MAX_FRAME_BYTES),))
    with pytest.raises(FrameTooLarge, match=str(MAX_FRAME_BYTES)):
        pack(Generate(request))


def test_a_frame_over_the_limit_is_not_read() -> None:
    header = (MAX_FRAME_BYTES + 1).to_bytes(LENGTH_BYTES, "big")
    with pytest.raises(FrameTooLarge, match=str(MAX_FRAME_BYTES + 1)):
        read_all(header, Command)


def test_a_frame_of_the_other_direction_is_refused() -> None:
    with pytest.raises(WireError, match="makes no sense"):
        read_all(pack(Accepted("1", 2)), Command)


@pytest.mark.parametrize("kind", error_classes)
def test_every_error_crosses_intact(kind: type[ServingError]) -> None:
    report = ErrorReport.of(kind("what was wrong", param="stop", code="why", retry_after=2.5))
    error = msgspec.msgpack.decode(msgspec.msgpack.encode(report), type=ErrorReport).restore()
    assert type(error) is kind
    assert (error.message, error.param, error.code, error.retry_after) == (
        "what was wrong",
        "stop",
        "why",
        2.5,
    )


def test_an_error_without_details_keeps_the_code_of_its_class() -> None:
    assert ErrorReport.of(QueueFull("full")).restore().code == QueueFull.code


def test_an_engines_own_error_crosses_as_the_one_it_derives_from() -> None:
    class NoSuchDevice(ModelLoadError):
        pass

    assert type(ErrorReport.of(NoSuchDevice("no GPU")).restore()) is ModelLoadError


def test_an_error_of_an_unknown_class_says_what_it_was() -> None:
    with pytest.raises(WireError, match="Confusion: what"):
        ErrorReport(kind="Confusion", message="what").restore()
