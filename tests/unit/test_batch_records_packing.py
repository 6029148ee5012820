"""Records into invocations, and answers back to records."""

import json

import pytest
from celery_sagemaker.runtime.exceptions import InvalidRequest, S3ObjectNotFound
from celery_sagemaker.tasks.batch.records.exceptions import (
    AnswerMismatch,
    FilterMismatch,
    InputRecordTooLarge,
)
from celery_sagemaker.tasks.batch.records.filters import DataProcessing, Filters
from celery_sagemaker.tasks.batch.records.inputs import resolve
from celery_sagemaker.tasks.batch.records.packing import (
    BatchStrategy,
    Invocation,
    Packing,
    bisect,
    pack,
    packing,
    split_answer,
)
from celery_sagemaker.tasks.batch.records.values import Format, Record, RecordError
from hypothesis import given
from hypothesis import strategies as st

MULTI = BatchStrategy.MULTI_RECORD


def records(*data: bytes) -> list[Record]:
    """Records of these data."""
    return [Record(position, None, one) for position, one in enumerate(data)]


def several(count: int) -> Invocation:
    """An invocation of so many records."""
    found = records(*[b"1"] * count)
    return Invocation(tuple(found), tuple(one.data for one in found), "application/jsonlines")


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(1, 7), st.integers(1, 40))
def test_every_record_is_packed_once_within_the_limits(
    sizes: list[int], most: int, room: int
) -> None:
    """In order; what is too large alone is an error, and costs its neighbours nothing."""
    given_ = records(*(b"x" * size for size in sizes))
    how = Packing(content_type="text/csv", strategy=MULTI, max_payload_bytes=room, max_records=most)
    found = list(pack(given_, how))
    invocations = [one for one in found if isinstance(one, Invocation)]
    errors = [one for one in found if isinstance(one, RecordError)]
    assert [r for one in invocations for r in one.records] == [
        r for r in given_ if len(r.data) <= room
    ]
    assert [one.record for one in errors] == [r for r in given_ if len(r.data) > room]
    assert all(isinstance(one.error, InputRecordTooLarge) for one in errors)
    assert all(len(one.body) <= room for one in invocations)
    assert all(len(one.records) <= most for one in invocations)


def test_invocations_are_full() -> None:
    """As many records as fit, with a line break between two."""
    how = Packing(content_type="text/csv", strategy=MULTI, max_payload_bytes=5, max_records=9)
    bodies = [one.body for one in pack(records(b"11", b"22", b"3", b"4", b"5"), how)]  # type: ignore[union-attr]
    assert bodies == [b"11\n22", b"3\n4\n5"]


def test_a_single_record_is_sent_as_it_is() -> None:
    """One record, one request, no line break."""
    how = packing(resolve("s3://b/in.csv"))
    assert [one.body for one in pack(records(b"1,2", b"3"), how)] == [b"1,2", b"3"]  # type: ignore[union-attr]


def test_what_cannot_be_sent_is_passed_on() -> None:
    """Unreadable records, and those that a filter does not fit."""
    unread = RecordError(Record(0, "k", b""), S3ObjectNotFound())
    filters = Filters.compile(DataProcessing(input_filter="$.x"), Format.JSON)
    how = Packing(content_type="application/json")
    found = list(pack([unread, *records(b"{}", b'{"x":1}')], how, filters))
    assert found[0] is unread
    assert isinstance(found[1], RecordError)
    assert isinstance(found[1].error, FilterMismatch)
    assert isinstance(found[2], Invocation)
    assert found[2].body == b"1"


def test_the_content_type_follows_the_strategy() -> None:
    """Several JSON records are JSON Lines; a type that was asked for stays."""
    assert packing(resolve("s3://b/in.jsonl")).content_type == "application/json"
    assert (
        packing(resolve("s3://b/in.jsonl"), "MultiRecord").content_type == "application/jsonlines"
    )
    own = resolve("s3://b/in.jsonl", content_type="application/x-own+json")
    assert packing(own, "MultiRecord").content_type == "application/x-own+json"
    assert packing(resolve("s3://b/in.jsonl"), max_records=9).max_records == 1


@pytest.mark.parametrize(
    ("location", "strategy", "options"),
    [
        ("s3://b/prefix/", "MultiRecord", {}),
        ("s3://b/in.jsonl", "ManyRecords", {}),
        ("s3://b/in.jsonl", "MultiRecord", {"max_records": 0}),
        ("s3://b/in.jsonl", "MultiRecord", {"max_payload_in_mb": -1}),
    ],
)
def test_what_does_not_go_together_is_refused(
    location: str, strategy: str, options: dict[str, int]
) -> None:
    """Before anything is read."""
    with pytest.raises(InvalidRequest):
        packing(resolve(location), strategy, **options)


@pytest.mark.parametrize(
    ("mb", "limit"), [(6, 6_291_456), (1, 1_048_576), (0, 6_291_456), (100, 6_291_456)]
)
def test_megabytes_are_batch_transforms(mb: int, limit: int) -> None:
    """And never more than the service takes."""
    assert packing(resolve("s3://b/in.csv"), max_payload_in_mb=mb).max_payload_bytes == limit


@pytest.mark.parametrize(
    ("body", "content_type", "parts"),
    [
        (b'[{"a": 1.10}, 2, [3]]', "application/json", [b'{"a": 1.10}', b"2", b"[3]"]),
        (b'{"predictions": [1, 2, 3], "v": 0}', "application/json", [b"1", b"2", b"3"]),
        (b'{"a":1}\n2\n[3]\n', "application/jsonlines", [b'{"a":1}', b"2", b"[3]"]),
        (b'{"a":1}\n2\n[3]', "application/json", [b'{"a":1}', b"2", b"[3]"]),
        (b"1\r\n2\r\n3\r\n", "text/csv; charset=utf-8", [b"1", b"2", b"3"]),
        (b"0.1,0.2,0.3", "text/csv", [b"0.1", b"0.2", b"0.3"]),
        (b"a\nb\nc", None, [b"a", b"b", b"c"]),
        (b"a\n\nc\n", "text/plain", [b"a", b"", b"c"]),
        ("é\n€\n𝄞".encode(), "text/csv", ["é".encode(), "€".encode(), "𝄞".encode()]),
    ],
)
def test_answers_are_split(body: bytes, content_type: str | None, parts: list[bytes]) -> None:
    """JSON arrays, predictions, JSON Lines, lines, and CSV with a column for each."""
    assert split_answer(several(3), body, content_type) == parts


@given(
    st.lists(
        st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)), min_size=2
    )
)
def test_an_answer_in_any_form_comes_back_whole(values: list[dict[str, float]]) -> None:
    """As an array and as lines, part by part."""
    lines = [json.dumps(value).encode() for value in values]
    invocation = several(len(values))
    assert split_answer(invocation, b"\n".join(lines), "application/jsonlines") == lines
    assert split_answer(invocation, b"[" + b", ".join(lines) + b"]", "application/json") == lines


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"[1, 2]", "application/json"),
        (b"[1, 2, 3, 4]", "application/json"),
        (b'{"a": [1, 2, 3]}', "application/json"),
        (b"1\n2", "application/jsonlines"),
        (b"", "application/json"),
        (b"", None),
        (b"1\n2\n3\n4", "text/csv"),
        (b"1,2", "text/csv"),
        (b"\xff,2,3", "text/csv"),
    ],
)
def test_an_answer_of_another_count_is_an_error(body: bytes, content_type: str | None) -> None:
    """It cannot be said whose answers they are."""
    with pytest.raises(AnswerMismatch, match="3 records"):
        split_answer(several(3), body, content_type)


def test_the_answer_to_one_record_is_whole() -> None:
    """Whatever it looks like."""
    assert split_answer(several(1), b"[1, 2]\n3", "application/json") == [b"[1, 2]\n3"]


@given(st.integers(2, 300))
def test_halves_are_the_whole(count: int) -> None:
    """Bisecting loses and repeats nothing, and ends at single records."""
    first, second = bisect(several(count))
    assert first.records + second.records == several(count).records
    assert abs(len(first.records) - len(second.records)) <= 1
    assert first.content_type == second.content_type == "application/jsonlines"
    assert len(first.payloads) == len(first.records)


def test_one_record_has_no_halves() -> None:
    """The caller fails it instead."""
    with pytest.raises(ValueError, match="halves"):
        bisect(several(1))
