"""Lines out of blocks, and records out of lines."""

import json

import pytest
from celery_sagemaker.tasks.batch.records.exceptions import (
    InputRecordTooLarge,
    InvalidCustomId,
    InvalidInput,
    InvalidJson,
)
from celery_sagemaker.tasks.batch.records.splitting import (
    ENVELOPE,
    LineSplitter,
    payload,
    strip,
    validate,
)
from celery_sagemaker.tasks.batch.records.values import Format
from hypothesis import given
from hypothesis import strategies as st


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut data into blocks of these sizes, again and again."""
    blocks: list[bytes] = []
    while data:
        size = sizes[len(blocks) % len(sizes)]
        blocks.append(data[:size])
        data = data[size:]
    return blocks


def lines(blocks: list[bytes], limit: int = 1_000) -> list[bytes]:
    """Feed blocks to a splitter."""
    splitter = LineSplitter(limit)
    found = [line for block in blocks for line in splitter.feed(block)]
    return found + splitter.flush()


@given(st.text("ab\n\ré€𝄞").map(str.encode), st.lists(st.integers(1, 7), min_size=1))
def test_lines_do_not_depend_on_the_blocks(data: bytes, sizes: list[int]) -> None:
    """Cut anywhere, within a character or a CRLF too, the lines are the same."""
    expected = data.split(b"\n")
    if not expected[-1]:
        del expected[-1]
    assert lines(cut(data, sizes)) == expected


@given(
    st.lists(st.integers(0, 12), min_size=1),
    st.lists(st.integers(1, 7), min_size=1),
    st.integers(1, 6),
)
def test_a_long_line_is_cut_and_its_neighbours_are_not(
    lengths: list[int], sizes: list[int], limit: int
) -> None:
    """Every line comes once; those over the limit are seen to be."""
    data = b"".join(b"x" * length + b"\n" for length in lengths)
    found = lines(cut(data, sizes), limit)
    assert [len(line) > limit for line in found] == [length > limit for length in lengths]
    assert [len(line) for line in found if len(line) <= limit] == [
        length for length in lengths if length <= limit
    ]


def test_a_line_without_end_is_not_held() -> None:
    """What is kept of it is bounded, however long it goes on."""
    splitter = LineSplitter(100)
    found = [line for _ in range(1_000) for line in splitter.feed(b"x" * 50)]
    assert found == [b"x" * 101]
    assert splitter.feed(b"x\nnext\n") == [b"next"]


@pytest.mark.parametrize(
    ("line", "json_", "other"),
    [
        (b" {} \r", b"{}", b" {} "),
        (b"\r", b"", b""),
        (b" \t ", b"", b""),
        (b"1,2\r", b"1,2", b"1,2"),
        (b"1, ", b"1,", b"1, "),
    ],
)
def test_what_a_line_carries(line: bytes, json_: bytes, other: bytes) -> None:
    """White space around JSON, and the CR of any line, is not the record's; blanks are none."""
    assert strip(line, Format.JSON) == json_
    assert strip(line, Format.CSV) == strip(line, Format.OTHER) == other


@pytest.mark.parametrize(
    ("line", "id_", "sent"),
    [
        (b'{"custom_id": "a", "body": {"x": 1.10}}', "a", b'{"x": 1.10}'),
        (b'{"body":1E400,"custom_id":"a"}', "a", b"1E400"),
        (rb'{"custom\u005fid": "\u00e9", "body": null}', "é", b"null"),
        (b'{"custom_id": "a", "body": 1, "body": 2}', "a", b"2"),
        (
            b'{"custom_id": "a", "body": 1, "body": 2, "x": 3}',
            "a",
            b'{"custom_id": "a", "body": 1, "body": 2, "x": 3}',
        ),
        (
            b'{"custom_id":"a","body":{"x":1},"y":{"z":2}}',
            "a",
            b'{"custom_id":"a","body":{"x":1},"y":{"z":2}}',
        ),
        (b'{"custom_id":"\xc3\xa9" ,\t"body" : [{}] }', "é", b"[{}]"),
        (b'{"custom_id":"a\\"","body":"\\ud800"}', 'a"', b'"\\ud800"'),
        (b'{"custom_id": "a", "x": 1}', "a", b'{"custom_id": "a", "x": 1}'),
        (b'{"custom_id": "a"}', "a", b'{"custom_id": "a"}'),
        (b'{"body": 1}', None, b'{"body": 1}'),
        (b'["custom_id", "body"]', None, b'["custom_id", "body"]'),
        (b'{"x": {"custom_id": "a", "body": 1}}', None, b'{"x": {"custom_id": "a", "body": 1}}'),
    ],
)
def test_ids_and_payloads(line: bytes, id_: str | None, sent: bytes) -> None:
    """Only an object of exactly custom_id and body is a wrapper; its body is sent as written."""
    assert validate(line, Format.JSON, 1_000) == id_
    assert payload(line, Format.JSON) == (id_, sent)


def test_other_formats_have_no_ids() -> None:
    """A line that is not JSON is its own payload, and is not looked into."""
    line = b'{"custom_id": "a"'
    assert validate(line, Format.CSV, 100) is None
    assert payload(line, Format.OTHER) == (None, line)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"{", InvalidJson),
        (b'"\xff"', InvalidJson),
        (b"NaN", InvalidJson),
        (b"{} {}", InvalidJson),
        (b'{"custom_id": 1}', InvalidCustomId),
        (b'{"custom_id": ""}', InvalidCustomId),
        (b'{"custom_id": null}', InvalidCustomId),
        (json.dumps({"custom_id": "x" * 513}).encode(), InvalidCustomId),
        (b'"' + b"x" * 1_000 + b'"', InputRecordTooLarge),
        (b"x" * (1_001 + ENVELOPE), InputRecordTooLarge),
    ],
)
def test_what_is_wrong_is_named(line: bytes, error: type[InvalidInput]) -> None:
    """Each fault has its class."""
    with pytest.raises(error):
        validate(line, Format.JSON, 1_000)


def test_the_limit_is_the_payloads() -> None:
    """A wrapper may be longer than what it carries may be."""
    body = b'"' + b"x" * 998 + b'"'
    wrapped = b'{"custom_id": "%b", "body": %b}' % (b"i" * 512, body)
    assert validate(wrapped, Format.JSON, 1_000) == "i" * 512
    with pytest.raises(InputRecordTooLarge):
        validate(wrapped, Format.JSON, 999)
