"""A payload is cut into the same records, whatever the pieces it comes in."""

import json
from collections.abc import Iterable
from zlib import crc32

import pytest
from celery_sagemaker.runtime import exceptions, framing, tokens
from celery_sagemaker.runtime.accounting import StreamSummary
from celery_sagemaker.runtime.records import Finish, Framer, Record
from hypothesis import given
from hypothesis import strategies as st

#: Framings whose records do not depend on the pieces.
CUTTING = [tokens.LINES, tokens.JSON_LINES, tokens.SSE, tokens.JSON]
#: Bytes that framings look at, and a few that they do not.
TELLING = [b"\n", b"\r", b"\r\n", b" ", b"data:", b":", b"{", b"}", b"[", b"]", b'"', b"\\"]
OTHERS = [b"data: x", b'{"a": "}"}', b"1", b"true", b"\xff", "\u2028é".encode(), b"[DONE]"]
BYTES = st.lists(st.sampled_from([*TELLING, *OTHERS]), max_size=30).map(b"".join)


def cut(data: bytes, at: Iterable[int]) -> list[bytes]:
    """Cut at offsets."""
    ends = sorted({offset % (len(data) + 1) for offset in at})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


def run(framer: Framer, pieces: Iterable[bytes]) -> list[Record]:
    """Feed pieces and end."""
    found = [record for piece in pieces for record in framer.feed(piece)]
    return [*found, *framer.flush()]


def records(name: str, *pieces: bytes) -> list[bytes]:
    """The bytes of the records of a payload."""
    return [record.data for record in run(framing.framing_for(None, name), pieces)]


def finish(name: str, *pieces: bytes) -> Finish:
    """Whether a payload is known to be complete."""
    framer = framing.framing_for(None, name)
    run(framer, pieces)
    return framer.finish


@given(st.sampled_from([*framing.FRAMERS]), BYTES, st.lists(st.integers(0, 200), max_size=8))
def test_records_joined_are_the_payload(name: str, data: bytes, at: list[int]) -> None:
    """No byte is lost, added or moved, in any framing, and none is left behind."""
    framer = framing.framing_for(None, name)
    found = run(framer, cut(data, at))
    assert b"".join(record.data for record in found) == data
    assert all(record.data for record in found)
    assert list(framer.flush()) == []


@given(st.sampled_from(CUTTING), BYTES, st.lists(st.integers(0, 200), max_size=8))
def test_records_do_not_depend_on_the_pieces(name: str, data: bytes, at: list[int]) -> None:
    """In one piece, in some, and byte by byte: the same records."""
    whole = records(name, data)
    assert records(name, *cut(data, at)) == whole
    assert records(name, *cut(data, range(len(data)))) == whole


@given(st.sampled_from([*framing.FRAMERS]), BYTES, st.lists(st.integers(0, 200), max_size=8))
def test_a_records_text_is_what_a_reader_finds(name: str, data: bytes, at: list[int]) -> None:
    """Framing's name and bytes are enough to read a record alone."""
    for record in run(framing.framing_for(None, name), cut(data, at)):
        assert record.text == tokens.text_of(name, record.data)


@given(st.text(), st.lists(st.integers(0, 200), max_size=8))
def test_text_is_never_cut_within_a_character(text: str, at: list[int]) -> None:
    """Each record is UTF-8 by itself, wherever the pieces end."""
    found = records(tokens.TEXT, *cut(text.encode(), at))
    assert "".join(data.decode() for data in found) == text


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=8))
def test_text_that_is_not_utf8_reads_the_same_in_pieces(data: bytes, at: list[int]) -> None:
    """What is not UTF-8 is replaced as it would be in one piece."""
    found = run(framing.TextFramer(), cut(data, at))
    assert "".join(record.text for record in found) == data.decode("utf-8", "replace")


def test_text_waits_for_no_more_than_a_character() -> None:
    """All that can be read is given at once."""
    framer = framing.TextFramer()
    first, last = "é€".encode()[:3], "é€".encode()[3:]
    assert [record.text for record in framer.feed(first)] == ["é"]
    assert [record.text for record in framer.feed(last)] == ["€"]


def test_lines_end_with_a_line_feed_only() -> None:
    """Unicode's other separators are legal within a record; CR LF stays together."""
    first = "a\u2028b\u2029c\u0085d\x0be\x0cf\rg\r\n".encode()
    assert records(tokens.LINES, first + b"last") == [first, b"last"]


def test_the_last_line_needs_no_end() -> None:
    """Where AWS's own LineIterator never returns."""
    assert records(tokens.JSON_LINES, b'{"a": 1}\n{"b"', b": 2}") == [b'{"a": 1}\n', b'{"b": 2}']


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"])
def test_sse_blocks_end_with_a_blank_line(end: bytes) -> None:
    """Whichever line ends are used, and a block with a lone CR is the last one to be seen."""
    blocks = [b"data: a" + end, b": ping" + end, b"event: x\ndata: b" + end]
    assert records(tokens.SSE, b"".join(blocks)) == blocks


def test_sse_events_are_given_as_soon_as_they_end() -> None:
    """An event does not wait for the next one."""
    framer = framing.SseFramer()
    assert [r.text for r in framer.feed(b"data: a\n\ndata: b\r\n\r")] == ["a"]
    assert [r.text for r in framer.feed(b"\n")] == ["b"]


def test_json_values_need_nothing_between_them() -> None:
    """Brackets and quotes in strings, escapes, and space before a value are followed."""
    values = [b'{"a": "}\\"{"}', b' [[1], "]"]', b'"x"', b"\n17", b' {"b": "\\\\"}', b"true", b"[]"]
    assert records(tokens.JSON, b"".join(values)) == values


def test_json_over_several_lines_is_one_record() -> None:
    """A pretty-printed document is not cut at its lines."""
    document = json.dumps({"a": [1, {"b": 2}]}, indent=2).encode()
    assert records(tokens.JSON, document) == [document]


@pytest.mark.parametrize("name", CUTTING)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_record_over_the_limit_is_refused(name: str, step: int) -> None:
    """Those before it are given; it is not kept to its end; its limit is a member."""
    good = b'{"a": 1}\n\n'
    data = good + b'{"b": "' + b"x" * 100
    framer = framing.framing_for(None, name, limit=50)
    seen: list[bytes] = []
    with pytest.raises(exceptions.RecordTooLarge) as caught:
        seen.extend(r.data for piece in cut(data, range(0, 200, step)) for r in framer.feed(piece))
    assert caught.value.limit == 50
    assert b'{"a": 1}' in b"".join(seen)
    assert good.startswith(b"".join(seen))


def test_records_before_a_large_one_are_given() -> None:
    """In the same piece."""
    found = framing.LineFramer(limit=4).feed(b"a\nb\ntoo long\n")
    assert [next(found).data, next(found).data] == [b"a\n", b"b\n"]
    with pytest.raises(exceptions.RecordTooLarge):
        next(found)


def test_the_limit_is_for_one_record() -> None:
    """Any number of records pass; the last one may be as long as the limit."""
    framer = framing.LineFramer(limit=4)
    assert len(run(framer, [b"abc\n" * 1000, b"abcd"])) == 1001


@pytest.mark.parametrize("name", CUTTING)
def test_no_byte_is_looked_at_twice(name: str) -> None:
    """A long record in small pieces costs its length: 4 MB in pieces of 64 bytes end in time."""
    piece = b'["\\"' + b"x" * 60
    framer = framing.framing_for(None, name, limit=5_000_000)
    for _ in range(65_536):
        assert list(framer.feed(piece)) == []
    assert sum(len(record.data) for record in framer.flush()) == 65_536 * 64


@pytest.mark.parametrize(
    ("content_type", "name"),
    [
        ("text/event-stream", tokens.SSE),
        ("text/event-stream; charset=utf-8", tokens.SSE),
        ("application/jsonlines", tokens.JSON_LINES),
        ("application/x-ndjson", tokens.JSON_LINES),
        ("Application/JSON", tokens.JSON),
        ("application/vnd.model+json; v=1", tokens.JSON),
        ("text/plain", tokens.TEXT),
        ('text/plain; charset="UTF-8"', tokens.TEXT),
        ("text/plain; charset=iso-8859-1", tokens.RAW),
        ("text/csv", tokens.LINES),
        ("application/octet-stream", tokens.RAW),
        ("image/png", tokens.RAW),
        ("", tokens.RAW),
        (None, tokens.RAW),
    ],
)
def test_the_content_type_chooses(content_type: str | None, name: str) -> None:
    """Parameters and case do not matter, but for a charset that cannot be cut."""
    assert framing.framing_for(content_type).name == name


@pytest.mark.parametrize("name", framing.FRAMERS)
def test_a_framing_can_be_asked_for(name: str) -> None:
    """Whatever the content type says."""
    assert framing.framing_for("image/png", name).name == name


def test_an_unknown_framing_is_refused() -> None:
    """With the names that there are."""
    with pytest.raises(exceptions.InvalidRequest, match="jsonlines"):
        framing.framing_for("text/plain", "xml")


TOKEN = b'{"token": {"text": "a"}}\n'
LAST = b'{"token": {"text": "b"}, "generated_text": "ab", "details": {"finish_reason": "length"}}\n'


def chunk(index: int, text: str, reason: str | None = None) -> bytes:
    """An event of a chat completion."""
    choice = {"index": index, "delta": {"content": text}, "finish_reason": reason}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        (tokens.JSON_LINES, TOKEN + LAST, "complete"),
        (tokens.JSON_LINES, TOKEN, "unknown"),
        (tokens.JSON_LINES, TOKEN + LAST[:-9], "unknown"),
        (tokens.JSON_LINES, TOKEN + b'{"error": "out of memory"}', "unknown"),
        (tokens.SSE, chunk(0, "a") + b"data: [DONE]\n\n", "complete"),
        (tokens.SSE, chunk(0, "a") + b"data: [DONE]", "complete"),
        (tokens.SSE, chunk(0, "a"), "unknown"),
        (tokens.SSE, chunk(0, "a", "stop") + b'data: {"usage": {}}\n\n', "complete"),
        (tokens.SSE, chunk(0, "a", "stop") + chunk(1, "b"), "complete"),
        (tokens.SSE, chunk(1, "b", "stop") + chunk(0, "a"), "unknown"),
        (tokens.SSE, chunk(0, "a", "stop") + b'data: {"error": "x"}\n\n', "unknown"),
        (tokens.JSON, b'{"answer": 1}', "complete"),
        (tokens.JSON, b'{"answer": 1}\n', "complete"),
        (tokens.JSON, b'{"answer": 1', "unknown"),
        (tokens.JSON, b'{"answer": 1}{"answer": 2}', "unknown"),
        (tokens.JSON, b'{"answer": 1}{"answ', "unknown"),
        (tokens.JSON, TOKEN, "unknown"),
        (tokens.JSON, TOKEN + LAST, "complete"),
        (tokens.JSON, b'{"error": "x"}', "unknown"),
        (tokens.JSON, b"17", "unknown"),
        (tokens.JSON, b"", "unknown"),
        (tokens.TEXT, b"[DONE]", "unknown"),
        (tokens.RAW, b"[DONE]", "unknown"),
    ],
)
def test_only_the_payload_says_that_it_is_complete(
    name: str, payload: bytes, expected: Finish
) -> None:
    """By its terminal record, or by being one closed value; in one piece and byte by byte."""
    assert finish(name, payload) == expected
    assert finish(name, *cut(payload, range(len(payload)))) == expected


def test_the_account_of_a_stream() -> None:
    """Parts, bytes and checksum are those of the payload."""
    account = StreamSummary(finish="complete")
    for part in (b"ab", b"", b"c"):
        account = account.add(part)
    assert account == StreamSummary(3, 3, crc32(b"abc"), "complete")
    assert account.to_json() == {
        "parts": 3, "bytes": 3, "crc32": "352441c2", "finish": "complete",
    }  # fmt: skip
    assert StreamSummary().to_json()["crc32"] == "00000000"
