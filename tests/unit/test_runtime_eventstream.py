"""Response streams are decoded message by message, whatever the pieces they come in."""

import json
import struct
import tracemalloc
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from zlib import crc32

import botocore.eventstream
import pytest
from celery_sagemaker.local import eventstream as encoder
from celery_sagemaker.runtime import eventstream, exceptions
from celery_sagemaker.runtime.eventstream import Decoder, HeaderValue, Message
from celery_sagemaker.runtime.payloadparts import PayloadParts
from hypothesis import given
from hypothesis import strategies as st

VECTORS = json.loads((Path(__file__).parents[1] / "data/eventstream-vectors.json").read_text())
VALID = {vector["name"]: vector for vector in VECTORS["valid"]}
INVALID = {vector["name"]: vector for vector in VECTORS["invalid"]}
WRONG = (exceptions.StreamChecksumMismatch, exceptions.StreamMalformed)

#: Type by which a vector, and a generated header, names its value; and how that is packed.
FORMS = {"byte": (2, ">b"), "short": (3, ">h"), "integer": (4, ">i"), "long": (5, ">q")}
FORMS |= {"timestamp_ms": (8, ">q")}
Typed = tuple[str, Any]


def encode(headers: Iterable[tuple[str, Typed]], payload: bytes) -> bytes:
    """Encode a message with headers of every type; the emulator's encoder knows strings only."""
    packed = b"".join(header(name.encode(), *value) for name, value in headers)
    return framed(packed, payload)


def framed(headers: bytes, payload: bytes, total: int | None = None) -> bytes:
    """Frame a message, with right checksums whatever else is wrong with it."""
    total = len(headers) + len(payload) + 16 if total is None else total
    prelude = struct.pack(">II", total, len(headers))
    body = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return body + struct.pack(">I", crc32(body))


def header(name: bytes, kind: str, value: Any) -> bytes:
    """Encode one header."""
    start = bytes([len(name)]) + name
    if kind == "bool":
        return start + bytes([0 if value else 1])
    if kind in FORMS:
        number, form = FORMS[kind]
        return start + bytes([number]) + struct.pack(form, value)
    if kind == "uuid":
        return start + b"\x09" + bytes(value.bytes)
    data = value if isinstance(value, bytes) else str(value).encode()
    number = 6 if kind == "bytes" else 7
    return start + bytes([number]) + struct.pack(">H", len(data)) + data


def python_value(kind: str, value: Any) -> HeaderValue:
    """The value that a vector's header has in Python."""
    if kind == "bytes_hex":
        return bytes.fromhex(value)
    if kind == "uuid_hex":
        return uuid.UUID(hex=value)
    assert isinstance(value, bool | int | str)
    return value


def expected(vector: Mapping[str, Any]) -> Message:
    """The message that a valid vector is."""
    headers = {name: python_value(*value) for name, value in vector["headers"].items()}
    return Message(headers, bytes.fromhex(vector["payload_hex"]))


def decode(pieces: Iterable[bytes]) -> list[Message]:
    """Decode a stream to its end."""
    decoder = Decoder()
    messages = [message for piece in pieces for message in decoder.feed(piece)]
    decoder.close()
    return messages


def bytewise(data: bytes) -> list[bytes]:
    """Cut at every byte."""
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("name", VALID)
def test_a_valid_message_is_decoded_however_it_is_cut(name: str) -> None:
    """In one piece, in two cut at every offset, byte by byte, and between others."""
    data, wanted = bytes.fromhex(VALID[name]["bytes_hex"]), expected(VALID[name])
    assert decode([data]) == [wanted]
    for at in range(len(data) + 1):
        assert decode([data[:at], data[at:]]) == [wanted]
    assert decode(bytewise(data)) == [wanted]
    assert decode([data * 3]) == [wanted] * 3


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_message_is_refused_however_it_is_cut(name: str) -> None:
    """Never given, never waited for beyond its end, and refused again when asked again."""
    data = bytes.fromhex(INVALID[name]["bytes_hex"])
    cuts = [[data], bytewise(data), *([data[:at], data[at:]] for at in range(len(data)))]
    for pieces in cuts:
        with pytest.raises(WRONG):
            decode(pieces)
    decoder = Decoder()
    for _ in range(2):
        with pytest.raises(WRONG):
            list(decoder.feed(data))


def test_all_valid_messages_in_one_feed() -> None:
    """One feed gives all messages that are whole, in order."""
    data = b"".join(bytes.fromhex(vector["bytes_hex"]) for vector in VALID.values())
    wanted = [expected(vector) for vector in VALID.values()]
    assert decode([data]) == decode(bytewise(data)) == wanted


def test_the_messages_before_a_wrong_one_are_given() -> None:
    """What arrived whole is not lost by what came after it in the same piece."""
    good, bad = encoder.payload_part(b"good"), encoder.payload_part(b"bad")[:-1] + b"\0"
    messages = Decoder().feed(good + good + bad)
    assert [next(messages).payload, next(messages).payload] == [b"good", b"good"]
    with pytest.raises(exceptions.StreamChecksumMismatch):
        next(messages)


@pytest.mark.parametrize("kept", range(1, len(encoder.payload_part(b"x"))))
def test_the_end_within_a_message_is_noticed(kept: int) -> None:
    """A last message that is not whole is an error, at every offset."""
    whole = encoder.payload_part(b"x")
    decoder = Decoder()
    assert len(list(decoder.feed(whole + whole[:kept]))) == 1
    with pytest.raises(exceptions.StreamTruncated) as caught:
        decoder.close()
    assert caught.value.left_over == kept


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(framed(b"", b"", total=15), id="total length under the smallest"),
        pytest.param(framed(b"\1a\0", b"", total=16), id="headers longer than the message"),
        pytest.param(framed(b"", b"", total=16 + 24 * 2**20 + 1), id="payload over the limit"),
        pytest.param(framed(b"\1a\x0a", b""), id="unknown header type"),
        pytest.param(framed(b"\5a", b""), id="name outside"),
        pytest.param(framed(b"\1a", b""), id="no type"),
        pytest.param(framed(b"\1a\7\0", b""), id="length outside"),
        pytest.param(framed(b"\1a\7\0\2x", b""), id="string outside"),
        pytest.param(framed(b"\1a\5\0\0", b""), id="integer outside"),
        pytest.param(framed(b"\1a\x09\0\0", b""), id="uuid outside"),
        pytest.param(framed(b"\1\xff\0", b""), id="name not UTF-8"),
        pytest.param(framed(b"\1a\7\0\1\xff", b""), id="value not UTF-8"),
        pytest.param(framed(b"\1a\0\1a\1", b""), id="duplicate"),
    ],
)
def test_what_breaks_the_encoding_is_malformed(data: bytes) -> None:
    """Right checksums do not make a wrong message good."""
    with pytest.raises(exceptions.StreamMalformed):
        decode([data])


def test_headers_over_the_limit_are_malformed() -> None:
    """The prelude is enough to refuse: nothing is waited for."""
    prelude = struct.pack(">II", 16 + 128 * 1024 + 1, 128 * 1024 + 1)
    with pytest.raises(exceptions.StreamMalformed):
        list(Decoder().feed(prelude + struct.pack(">I", crc32(prelude))))


def test_the_largest_message_is_taken() -> None:
    """24 MiB of payload and 128 KiB of headers are within the limits."""
    half = eventstream.MAX_HEADERS // 2
    headers = b"".join(header(name, "bytes", bytes(half - 5)) for name in (b"a", b"b"))
    (message,) = decode([framed(headers, bytes(eventstream.MAX_PAYLOAD))])
    assert len(message.payload) == eventstream.MAX_PAYLOAD
    assert len(message.headers) == 2


names = st.text(min_size=1, max_size=20).filter(lambda name: len(name.encode()) < 256)
values: st.SearchStrategy[Typed] = st.one_of(
    st.tuples(st.just("bool"), st.booleans()),
    st.tuples(st.just("byte"), st.integers(-(2**7), 2**7 - 1)),
    st.tuples(st.just("short"), st.integers(-(2**15), 2**15 - 1)),
    st.tuples(st.just("integer"), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just("long"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("timestamp_ms"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("bytes"), st.binary(max_size=50)),
    st.tuples(st.just("string"), st.text(max_size=50)),
    st.tuples(st.just("uuid"), st.uuids()),
)
messages = st.tuples(st.dictionaries(names, values, max_size=5), st.binary(max_size=200))


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """Cut at offsets; those outside wrap around."""
    ends = sorted({offset % (len(data) + 1) for offset in at})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


offsets = st.lists(st.integers(0, 10_000), max_size=10)


@given(st.lists(messages, max_size=5), offsets)
def test_round_trip_of_every_header_type(
    sent: list[tuple[dict[str, Typed], bytes]], at: list[int]
) -> None:
    """What was encoded is decoded, in any pieces, and botocore's own decoder agrees."""
    data = b"".join(encode(headers.items(), payload) for headers, payload in sent)
    received = decode(cut(data, at))
    assert received == [
        Message({name: value for name, (_, value) in headers.items()}, payload)
        for headers, payload in sent
    ]
    oracle = botocore.eventstream.EventStreamBuffer()
    theirs: list[Any] = []
    for piece in cut(data, at):
        oracle.add_data(piece)
        theirs += list(oracle)
    assert [(plain(m.headers), m.payload) for m in received] == [
        (m.headers, m.payload) for m in theirs
    ]


def plain(headers: Mapping[str, HeaderValue]) -> dict[str, HeaderValue]:
    """Headers as botocore gives them: a UUID is its bytes."""
    return {n: v.bytes if isinstance(v, uuid.UUID) else v for n, v in headers.items()}


@given(st.lists(st.binary(max_size=100), max_size=8), offsets)
def test_round_trip_with_the_emulators_encoder(sent: list[bytes], at: list[int]) -> None:
    """The emulator and the decoder speak the same encoding."""
    data = b"".join(map(encoder.payload_part, sent))
    assert [m.payload for m in decode(cut(data, at))] == sent


@given(st.binary(max_size=60), st.data())
def test_a_changed_byte_is_never_taken_for_good(payload: bytes, data: st.DataObject) -> None:
    """One damaged byte is an error, wherever it is."""
    whole = bytearray(encoder.payload_part(payload))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(WRONG):
        decode([bytes(whole)])


def test_a_large_message_in_small_pieces_leaves_nothing_behind() -> None:
    """16 MiB in pieces of 1 KiB need a few times their size, and nothing once they are given."""
    data = encoder.payload_part(bytes(16 * 2**20))
    pieces = [data[at : at + 1024] for at in range(0, len(data), 1024)]
    decoder = Decoder()
    tracemalloc.start()
    try:
        (length,) = (len(m.payload) for piece in pieces for m in decoder.feed(piece))
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert length == 16 * 2**20
    assert peak < 4 * len(data)
    assert left < 2**20


def test_parts_have_their_headers_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers of a stream's parts are the same bytes; others are decoded again."""
    decode_headers = Mock(wraps=eventstream.decode_headers)
    monkeypatch.setattr(eventstream, "decode_headers", decode_headers)
    other = encoder.exception("ModelStreamError", {})
    data = encoder.payload_part(b"a") * 100 + other + encoder.payload_part(b"b")
    assert len(decode([data])) == 102
    assert decode_headers.call_count == 3


def parts(*encoded: bytes) -> tuple[list[bytes], PayloadParts]:
    """Feed a stream in one piece; return its parts."""
    stream = PayloadParts()
    return list(stream.feed(b"".join(encoded))), stream


def failure(*encoded: bytes) -> exceptions.StreamError:
    """The error by which a stream ends."""
    with pytest.raises(exceptions.StreamError) as caught:
        parts(*encoded)
    return caught.value


def test_parts_of_the_payload() -> None:
    """Payload parts are given as they are, empty ones too."""
    given_parts, stream = parts(*map(encoder.payload_part, [b"a", b"", b"\xff"]))
    stream.close()
    assert given_parts == [b"a", b"", b"\xff"]
    assert stream.skipped == 0


@pytest.mark.parametrize("code", ["StreamBroken", "ModelInvocationTimeExceeded"])
def test_model_stream_error_keeps_its_code(code: str) -> None:
    """ModelStreamError's ErrorCode, which botocore drops, is a member."""
    error = failure(encoder.exception("ModelStreamError", {"Message": "gone", "ErrorCode": code}))
    assert type(error) is exceptions.ModelStreamError
    assert (error.message, error.error_code) == ("gone", code)
    assert error.may_have_run


def test_internal_stream_failure() -> None:
    """The service's own failure has a class of its own."""
    error = failure(encoder.exception("InternalStreamFailure", {"Message": "ours"}))
    assert type(error) is exceptions.InternalStreamFailure
    assert error.message == "ours"


def test_an_exception_without_json_keeps_its_text() -> None:
    """The content of an exception that is not JSON is its message."""
    headers = {":message-type": "exception", ":exception-type": "ModelStreamError"}
    assert failure(encoder.message(headers, b"Killed")).message == "Killed"
    assert failure(encoder.message(headers, b"")).message.startswith("The model broke")


def test_an_unknown_exception_is_an_unknown_stream_error() -> None:
    """Its name is the error code; botocore leaves both code and message empty."""
    error = failure(encoder.exception("Brandnew", {"Message": "text"}))
    assert type(error) is exceptions.UnknownStreamError
    assert (error.message, error.error_code) == ("text", "Brandnew")


def test_an_unmodelled_error_is_an_unknown_stream_error() -> None:
    """Code and message come from the headers."""
    error = failure(bytes.fromhex(VALID["unmodelled error"]["bytes_hex"]))
    assert type(error) is exceptions.UnknownStreamError
    assert (error.message, error.error_code) == ("message", "code")


def test_the_parts_before_an_error_are_given() -> None:
    """Even when all of it came in one piece."""
    failing = encoder.exception("InternalStreamFailure", {})
    stream = PayloadParts().feed(encoder.payload_part(b"a") + failing)
    assert next(stream) == b"a"
    with pytest.raises(exceptions.InternalStreamFailure):
        next(stream)


def test_unknown_events_are_skipped_and_counted() -> None:
    """An event of a newer model, or of a newer kind of message, does not end the stream."""
    newer = encoder.message({":message-type": "event", ":event-type": "Usage"}, b"{}")
    kind = encoder.message({":message-type": "note"}, b"")
    given_parts, stream = parts(newer, encoder.payload_part(b"a"), kind)
    assert given_parts == [b"a"]
    assert stream.skipped == 2


def test_a_stream_cut_within_a_message_is_truncated() -> None:
    """Which botocore takes for the end."""
    _, stream = parts(encoder.payload_part(b"a"), encoder.payload_part(b"b")[:-1])
    with pytest.raises(exceptions.StreamTruncated):
        stream.close()
