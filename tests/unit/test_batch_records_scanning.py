"""Scanning an input and reading its chunks, over an S3 in memory."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from celery_sagemaker.runtime.exceptions import (
    ConnectionLost,
    S3AccessDenied,
    S3Error,
    S3ObjectNotFound,
)
from celery_sagemaker.runtime.s3 import S3Location, S3Object, S3Range, S3Store
from celery_sagemaker.tasks.batch.records.exceptions import InputChanged, InputRecordTooLarge
from celery_sagemaker.tasks.batch.records.inputs import resolve
from celery_sagemaker.tasks.batch.records.reading import read
from celery_sagemaker.tasks.batch.records.scanning import Scan, ScanOptions, scan
from celery_sagemaker.tasks.batch.records.values import (
    Chunk,
    Input,
    Record,
    RecordError,
)
from hypothesis import example, given
from hypothesis import strategies as st

WHERE = S3Location("b", "in.jsonl")
LISTING = S3Location("b", "job/listing.jsonl")
THEN = datetime(2026, 11, 24, tzinfo=UTC)


class MemoryStore(S3Store):
    """S3 in memory; answers at most `cut` bytes a time, and counts what it was asked for."""

    def __init__(self, cut: int = 1 << 30) -> None:
        super().__init__()
        self.cut = cut
        self.objects: dict[S3Location, bytes] = {}
        self.denied: set[S3Location] = set()
        self.broken = 0

    def _find(self, location: S3Location) -> bytes:
        if location in self.denied:
            raise S3AccessDenied
        if location not in self.objects:
            raise S3ObjectNotFound
        return self.objects[location]

    def get_range(
        self, location: S3Location, start: int, end: int, etag: str | None = None
    ) -> S3Range:
        """Return a few bytes."""
        self.requests["GET"] += 1
        if self.broken:
            self.broken -= 1
            raise ConnectionLost
        body = self._find(location)
        now = hashlib.md5(body, usedforsecurity=False).hexdigest()
        if etag not in {None, now}:
            raise S3Error("changed", {"error_code": "PreconditionFailed"})
        return S3Range(body[start : min(end, start + self.cut)], len(body), now)

    def put_blocks(
        self, location: S3Location, blocks: Iterable[bytes], content_type: str | None = None
    ) -> None:
        """Keep an object."""
        self.objects[location] = b"".join(blocks)

    def get(self, location: S3Location, max_bytes: int | None = None) -> S3Object:
        """Return an object."""
        body = self._find(location)
        small = max_bytes is None or len(body) <= max_bytes
        return S3Object(location, len(body), THEN, None, body if small else None)

    def head(self, location: S3Location) -> S3Object | None:
        """Return what is known of an object."""
        if location in self.denied:
            raise S3AccessDenied
        found = self.objects.get(location)
        return None if found is None else S3Object(location, len(found), THEN)

    def list(self, prefix: S3Location) -> Iterator[S3Object]:
        """Return a listing."""
        for location, body in sorted(self.objects.items(), key=lambda item: item[0].key):
            if location.key.startswith(prefix.key):
                yield S3Object(location, len(body), THEN)


def holding(data: bytes, cut: int = 1 << 30) -> MemoryStore:
    """An S3 with one object."""
    store = MemoryStore(cut)
    store.objects[WHERE] = data
    return store


def done(input_: Input, store: S3Store, **options: int) -> tuple[Scan, list[Chunk]]:
    """Scan to the end."""
    found = scan(input_, store, ScanOptions(listing=LISTING, **options))
    return found, list(found)


def every(chunks: list[Chunk], input_: Input, store: S3Store) -> list[Record]:
    """All records of all chunks, none of which is unreadable."""
    found = [record for chunk in chunks for record in read(chunk, input_, store)]
    assert not any(isinstance(one, RecordError) for one in found)
    return [one for one in found if isinstance(one, Record)]


def faults(data: bytes, **options: int) -> list[tuple[int, str]]:
    """Line and code of what is wrong with JSON Lines; no chunk may come after it."""
    found, _ = done(resolve(str(WHERE)), holding(data, cut=7), **options)
    assert found.error_count >= len(found.errors)
    assert {error.source for error in found.errors} <= {str(WHERE)}
    return [(error.line, error.code) for error in found.errors]


@dataclass(frozen=True)
class File:
    """JSON Lines as somebody may have written them, and what is in them."""

    data: bytes
    records: tuple[tuple[str | None, bytes], ...]


VALUES = (
    st.none()
    | st.integers()
    | st.text(max_size=5)
    | st.lists(st.text("é€𝄞", max_size=3), max_size=2)
)


@st.composite
def files(draw: st.DrawFn) -> File:
    """Lines with and without ids, blank lines, any line end, a BOM, perhaps no end."""
    data = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    records: list[tuple[str | None, bytes]] = []
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["plain", "id", "wrapped"]))
        id_ = None if kind == "plain" else f"é{number}"
        value = draw(VALUES)
        sent = json.dumps(value, ensure_ascii=draw(st.booleans())).encode()
        line = sent
        if kind == "wrapped":
            line = b'{"custom_id": %b, "body":%b}' % (json.dumps(id_).encode(), sent)
        elif kind == "id":
            sent = line = json.dumps({"custom_id": id_, "x": value}).encode()
        data += b"".join(draw(st.lists(st.sampled_from([b"\n", b"\r\n", b" \t\n"]), max_size=2)))
        data += draw(st.sampled_from([b"", b" "])) + line + draw(st.sampled_from([b"\n", b"\r\n"]))
        records.append((id_, sent))
    if draw(st.booleans()):
        data = data.removesuffix(b"\n").removesuffix(b"\r")
    return File(data, tuple(records))


@given(files(), st.integers(1, 40), st.integers(1, 60), st.integers(1, 6))
@example(File(b"1\n2", ((None, b"1"), (None, b"2"))), 1, 1, 1)
def test_every_record_is_read_once(
    file: File, cut: int, chunk_bytes: int, chunk_records: int
) -> None:
    """However blocks and chunks are cut: its position, its id, and the bytes to send."""
    store, input_ = holding(file.data, cut), resolve(str(WHERE))
    found, chunks = done(input_, store, chunk_bytes=chunk_bytes, chunk_records=chunk_records)
    assert not found.errors
    assert found.records == len(file.records)
    assert found.bytes == len(file.data)
    assert every(chunks, input_, store) == [
        Record(position, id_, data) for position, (id_, data) in enumerate(file.records)
    ]
    assert all(file.data[c.start - 1 : c.start] in {b"", b"\n", b"\xbf"} for c in chunks)
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert all(0 < chunk.count <= chunk_records for chunk in chunks)
    assert [Chunk.from_json(json.loads(json.dumps(chunk.to_json()))) for chunk in chunks] == chunks


@given(files(), st.integers(0, 12), st.sets(st.integers(0, 12)), st.integers(1, 40))
def test_a_part_of_a_chunk_is_read(file: File, skip: int, only: set[int], cut: int) -> None:
    """What is done already, or not asked for, is passed over; positions stay."""
    store, input_ = holding(file.data, cut), resolve(str(WHERE))
    _, (chunk,) = done(input_, store)
    whole = every([chunk], input_, store)
    assert list(read(chunk, input_, store, skip)) == whole[skip:]
    some = read(chunk, input_, store, skip, only=only)
    assert list(some) == [one for one in whole[skip:] if one.position in only]


def test_chunks_are_bounded() -> None:
    """A chunk ends with the record that fills it, by count or by bytes."""
    data = b"".join(b"%02d\n" % (10 + n) for n in range(10))
    _, by_count = done(resolve(str(WHERE)), holding(data), chunk_records=4)
    assert [(c.first, c.count, c.start, c.end) for c in by_count] == [
        (0, 4, 0, 12),
        (4, 4, 12, 24),
        (8, 2, 24, 30),
    ]
    _, by_bytes = done(resolve(str(WHERE)), holding(data), chunk_bytes=10)
    assert [(chunk.first, chunk.count) for chunk in by_bytes] == [(0, 4), (4, 4), (8, 2)]


def test_the_input_is_read_once() -> None:
    """Each byte of it, if nothing is suspect."""
    store = holding(b'{"custom_id":"a"}\n{"custom_id":"b"}\n' + b"1\n" * 16, cut=10)
    size = len(store.objects[WHERE])
    done(resolve(str(WHERE)), store)
    assert store.requests["GET"] == -(-size // 10)


def test_csv_is_cut_at_lines() -> None:
    """A header is a record, as in Batch Transform; bytes stay as they are."""
    where = S3Location("b", "in.csv")
    store, input_ = MemoryStore(3), resolve(str(where))
    store.objects[where] = b'\xef\xbb\xbfa,b\r\n\r\n1,"x y"\n2,\xff'
    _, chunks = done(input_, store, chunk_records=1)
    records = every(chunks, input_, store)
    assert [record.data for record in records] == [b"a,b", b'1,"x y"', b"2,\xff"]
    assert [record.key for record in records] == [0, 1, 2]


def test_every_fault_is_listed_with_its_line() -> None:
    """Lines are counted as an editor counts them, from 1, with the blank ones."""
    data = b'1\n\n{\n{"custom_id":"a"}\n{"custom_id":5}\nNaN\r\n{"custom_id":"a","x":1}\n'
    assert faults(data + b'"' + b"x" * 5_000 + b'"\n{"custom_id":"a"}', record_bytes=100) == [
        (3, "InvalidJson"),
        (5, "InvalidCustomId"),
        (6, "InvalidJson"),
        (8, "InputRecordTooLarge"),
        (7, "DuplicateCustomId"),
        (9, "DuplicateCustomId"),
    ]


def test_a_duplicate_says_where_the_first_is() -> None:
    """So that somebody can mend it."""
    found, _ = done(resolve(str(WHERE)), holding(b'{"custom_id":"a"}\n\n{"custom_id":"a"}'))
    assert found.errors[0].message == f"The custom_id 'a' is already that of line 1 of {WHERE}."


def test_errors_are_listed_up_to_a_number() -> None:
    """And counted beyond it; after the first of them no chunk comes."""
    input_, store = resolve(str(WHERE)), holding(b"1\n2\n" + b"x\n" * 2_500 + b"3\n")
    found, chunks = done(input_, store, chunk_records=1)
    assert len(found.errors) == 1_000
    assert found.error_count == 2_500
    assert [chunk.first for chunk in chunks] == [0, 1]


@pytest.mark.parametrize("data", [b"", b"\n\r\n", b"\xef\xbb\xbf", b" "])
def test_an_empty_input_is_an_error(data: bytes) -> None:
    """A file without a record is more likely a mistake than a job."""
    assert faults(data) == [(0, "EmptyInput")]


def test_what_is_not_there_is_an_error() -> None:
    """Named as what it is."""
    store = MemoryStore()
    assert [e.code for e in done(resolve(str(WHERE)), store)[0].errors] == ["S3ObjectNotFound"]
    store.denied.add(WHERE)
    assert [e.code for e in done(resolve(str(WHERE)), store)[0].errors] == ["S3AccessDenied"]
    assert [e.code for e in done(resolve("s3://b/p/"), store)[0].errors] == ["EmptyInput"]


def test_a_replaced_input_is_noticed() -> None:
    """While it is scanned, and when its chunks are read."""
    store, input_ = holding(b"1\n2\n3\n", cut=2), resolve(str(WHERE))
    _, (chunk,) = done(input_, store)
    store.objects[WHERE] = b"4\n5\n6\n"
    with pytest.raises(InputChanged):
        list(read(chunk, input_, store))
    found = iter(scan(input_, store, ScanOptions(listing=LISTING, chunk_records=1)))
    next(found)
    store.objects[WHERE] = b"1\n2\n3\n"
    with pytest.raises(InputChanged):
        list(found)


def test_a_broken_connection_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few times; then it is the caller's."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    store, input_ = holding(b"1\n2\n"), resolve(str(WHERE))
    _, (chunk,) = done(input_, store)
    store.broken = 2
    assert len(every([chunk], input_, store)) == 2
    store.broken = 3
    with pytest.raises(ConnectionLost):
        list(read(chunk, input_, store))


def test_an_object_that_ends_early_does_not_hold_the_reader() -> None:
    """Nothing instead of the bytes that are still to come is a broken connection."""
    store, input_ = holding(b"1\n2\n"), resolve(str(WHERE))
    _, (chunk,) = done(input_, store)
    store.cut = 0
    with pytest.raises(ConnectionLost, match="ended early, at byte 0"):
        list(read(chunk, input_, store))


def test_each_object_of_a_prefix_is_a_record() -> None:
    """Named by its key; one that is gone when its turn comes costs the others nothing."""
    store, input_ = MemoryStore(5), resolve("s3://b/images/")
    for name in ("", "a.png", "b é/c.png", "d.png", "e.png"):
        store.objects[S3Location("b", f"images/{name}")] = name.encode()
    found, chunks = done(input_, store, chunk_records=3)
    assert (found.errors, found.records, len(chunks)) == ([], 4, 2)
    del store.objects[S3Location("b", "images/d.png")]
    a, c, d, e = (record for chunk in chunks for record in read(chunk, input_, store))
    assert a == Record(0, "a.png", b"a.png", "s3://b/images/a.png")
    assert c == Record(1, "b é/c.png", "b é/c.png".encode(), "s3://b/images/b é/c.png")
    assert isinstance(d, RecordError)
    assert isinstance(d.error, S3ObjectNotFound)
    assert d.record.key == "d.png"
    assert isinstance(e, Record)
    assert e.position == 3


def test_objects_need_not_be_fetched() -> None:
    """An asynchronous endpoint reads them where they are."""
    store, input_ = MemoryStore(), resolve("s3://b/images/")
    store.objects[S3Location("b", "images/a")] = b"x"
    _, (chunk,) = done(input_, store)
    assert list(read(chunk, input_, store, fetch=False)) == [Record(0, "a", b"", "s3://b/images/a")]


def test_an_object_that_is_too_large_is_found_early() -> None:
    """A listing tells sizes; what has grown since is found when it is read."""
    store, input_ = MemoryStore(), resolve("s3://b/images/")
    where = S3Location("b", "images/a")
    store.objects[where] = b"x" * 11
    found, _ = done(input_, store, record_bytes=10)
    assert [(e.line, e.code, e.source) for e in found.errors] == [
        (0, "InputRecordTooLarge", str(where))
    ]
    _, (chunk,) = done(input_, store)
    (error,) = read(chunk, input_, store, record_bytes=10)
    assert isinstance(error, RecordError)
    assert isinstance(error.error, InputRecordTooLarge)


def test_the_lines_of_many_objects_count_on() -> None:
    """With SplitType=Line a prefix is one long file; chunks do not reach over objects."""
    store = MemoryStore(4)
    store.objects[S3Location("b", "p/1")] = b"\xef\xbb\xbf1\n2"
    store.objects[S3Location("b", "p/2")] = b""
    store.objects[S3Location("b", "p/3")] = b'3\n{"custom_id":"a"}\n'
    input_ = resolve("s3://b/p/", split_type="Line", content_type="application/jsonlines")
    found, chunks = done(input_, store)
    assert [record.data for record in every(chunks, input_, store)] == [
        b"1",
        b"2",
        b"3",
        b'{"custom_id":"a"}',
    ]
    assert [(chunk.first, chunk.count) for chunk in chunks] == [(0, 2), (2, 2)]
    store.objects[S3Location("b", "p/4")] = b'\n{"custom_id":"a"}'
    found, _ = done(input_, store)
    assert [(e.line, e.code, e.source) for e in found.errors] == [
        (2, "DuplicateCustomId", "s3://b/p/4")
    ]


def test_a_manifest_names_its_objects() -> None:
    """Prefix and key are put together as they are."""
    store = MemoryStore()
    where = S3Location("b", "in.manifest")
    store.objects[where] = b'[{"prefix": "s3://c/data/x"}, "1.json", "/2.json"]'
    store.objects[S3Location("c", "data/x1.json")] = b"{}"
    store.objects[S3Location("c", "data/x/2.json")] = b"[]"
    input_ = resolve(str(where), data_type="ManifestFile")
    _, chunks = done(input_, store)
    assert every(chunks, input_, store) == [
        Record(0, "1.json", b"{}", "s3://c/data/x1.json"),
        Record(1, "/2.json", b"[]", "s3://c/data/x/2.json"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'["a"]',
        b'[{"prefix": 1}, "a"]',
        b'[{"prefix": "s3://c/", "x": 1}, "a"]',
        b'[{"prefix": "/data"}, "a"]',
        b'[{"prefix": "s3://c/"}, 1]',
    ],
)
def test_another_manifest_is_refused(body: bytes) -> None:
    """Whatever is not SageMaker's form."""
    found, chunks = done(resolve(str(WHERE), data_type="ManifestFile"), holding(body))
    assert ([error.code for error in found.errors], chunks) == (["InvalidManifest"], [])
