"""The records of batch jobs on an S3 server: read in ranges, written in parts, cleaned up."""

import hashlib
import json
import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime.exceptions import (
    InvalidRequest,
    ModelError,
    S3AccessDenied,
    S3BucketNotFound,
    S3Error,
    S3ObjectNotFound,
)
from celery_sagemaker.runtime.s3 import PART, S3Location, S3Store
from celery_sagemaker.tasks.batch.records import inputs, results
from celery_sagemaker.tasks.batch.records.assembling import AssembleWith, assemble
from celery_sagemaker.tasks.batch.records.exceptions import InputChanged
from celery_sagemaker.tasks.batch.records.parts import Part
from celery_sagemaker.tasks.batch.records.reading import read
from celery_sagemaker.tasks.batch.records.scanning import ScanOptions, scan
from celery_sagemaker.tasks.batch.records.values import Record
from celery_sagemaker.tasks.batch.records.writing import Batch, PartBuffer, save_part


@pytest.fixture
def store(sagemaker_environment: dict[str, str]) -> S3Store:
    """S3 as boto3 sees it."""
    return S3Store()


@pytest.fixture
def place(sagemaker_environment: dict[str, str]) -> S3Location:
    """A prefix of the test's own."""
    staging = S3Location.parse(sagemaker_environment["CELERY_SAGEMAKER_STAGING"])
    return staging / uuid.uuid4().hex


def body(store: S3Store, location: S3Location) -> bytes:
    """An object's content."""
    return store.get(location).body or b""


def test_a_range_is_fetched(store: S3Store, place: S3Location) -> None:
    """As far as the object has it, with the whole object's size and ETag."""
    store.put(place, b"0123456789")
    found = store.get_range(place, 2, 5)
    assert (found.body, found.size) == (b"234", 10)
    assert store.get_range(place, 8, 100, found.etag).body == b"89"
    assert +store.requests == {"PUT": 1, "GET": 2}


def test_a_range_of_another_object_is_refused(store: S3Store, place: S3Location) -> None:
    """Of the one with the ETag, or none."""
    store.put(place, b"0123456789")
    etag = store.get_range(place, 0, 1).etag
    store.put(place, b"abcdefghij")
    with pytest.raises(S3Error) as caught:
        store.get_range(place, 0, 1, etag)
    assert caught.value.error_code == "PreconditionFailed"


def test_an_empty_object_has_an_empty_range(store: S3Store, place: S3Location) -> None:
    """And one that is not there is not there."""
    store.put(place, b"")
    assert store.get_range(place, 0, 10).body == b""
    with pytest.raises(S3ObjectNotFound):
        store.get_range(place / "missing", 0, 10)


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 1), (5, 4)])
def test_blocks_become_one_object(
    store: S3Store, place: S3Location, count: int, requests: int
) -> None:
    """A small one by one request, a large one in parts, all of which are counted."""
    blocks = [bytes([n]) * (PART // 4) for n in range(count)]
    store.put_blocks(place, iter(blocks), "text/plain")
    found = store.get(place)
    assert (found.body, found.content_type) == (b"".join(blocks), "text/plain")
    assert store.requests["PUT"] == (requests if count * PART // 4 >= PART else 1)


def test_what_breaks_while_it_is_written_is_not_there(store: S3Store, place: S3Location) -> None:
    """An object appears whole or not at all."""

    def broken() -> Iterator[bytes]:
        yield b"x" * (PART + 1)
        raise ValueError("the disk is gone")

    with pytest.raises(ValueError, match="disk is gone"):
        store.put_blocks(place, broken())
    assert store.head(place) is None


def test_objects_are_deleted(store: S3Store, place: S3Location) -> None:
    """Those that are there, and those that are not."""
    for name in "ab":
        store.put(place / name, b"x")
    store.delete([place / "a", place / "missing"])
    assert [found.location for found in store.list(place)] == [place / "b"]
    with pytest.raises(S3BucketNotFound):
        store.delete([S3Location(f"no-{uuid.uuid4().hex}", "a")])


def test_a_file_is_uploaded_scanned_and_read(
    store: S3Store, place: S3Location, tmp_path: Path
) -> None:
    """From a local file to records, over several blocks."""
    path = tmp_path / "in.jsonl"
    lines = [json.dumps({"custom_id": f"r{n}", "x": "é" * 500}) for n in range(4_000)]
    path.write_text("\n".join(lines))
    where = place / "in.jsonl"
    inputs.upload(path, where, store)
    assert body(store, where) == path.read_bytes()
    input_ = inputs.resolve(str(where))
    options = ScanOptions(
        listing=place / "listing.jsonl", chunk_records=1_500, chunk_bytes=10_000_000
    )
    found = scan(input_, store, options)
    chunks = list(found)
    assert (found.errors, [chunk.count for chunk in chunks]) == ([], [1_500, 1_500, 1_000])
    records = [record for chunk in chunks for record in read(chunk, input_, store)]
    assert [r.id for r in records if isinstance(r, Record)] == [f"r{n}" for n in range(4_000)]
    store.put(where, b"1\n")
    with pytest.raises(InputChanged):
        next(read(chunks[0], input_, store))


def test_a_file_that_is_not_there_is_refused(store: S3Store, place: S3Location) -> None:
    """Before anything is written."""
    with pytest.raises(InvalidRequest, match="cannot be read"):
        inputs.upload(Path("/nowhere/in.jsonl"), place, store)


def test_a_prefix_is_listed_and_read(store: S3Store, place: S3Location) -> None:
    """Through a listing that is kept, so that positions stay what they are."""
    for name in ("b.json", "a.json", "sub/c.json"):
        store.put(place / "in" / name, b"{}")
    input_ = inputs.resolve(f"{place}/in/")
    (chunk,) = scan(input_, store, ScanOptions(listing=place / "listing.jsonl"))
    store.put(place / "in" / "0.json", b"late")
    keys = [r.key for r in read(chunk, input_, store) if isinstance(r, Record)]
    assert keys == ["a.json", "b.json", "sub/c.json"]


def collected(*positions: int, fails: bool = False) -> Batch:
    """Outcomes of records, in this order."""
    buffer = PartBuffer()
    for position in positions:
        record = Record(position, f"r{position}", b"")
        if fails:
            buffer.fail(record, ModelError("no"), 3)
        else:
            buffer.succeed(record, b"%d" % position, "application/json")
    assert buffer.size > 0
    return buffer.take()


def written(store: S3Store, place: S3Location, batch: Batch, chunk: int, run: int) -> Part:
    """Save what must not be empty."""
    part = save_part(store, place, batch, chunk, run)
    assert part is not None
    return part


def test_a_part_is_written_in_order(store: S3Store, place: S3Location) -> None:
    """Of positions, with counts and checksums; again, if it has to be."""
    batch = collected(5, 3, 4)
    batch.errors.extend(collected(6, fails=True).errors)
    part = written(store, place, batch, 7, 3)
    assert written(store, place, batch, 7, 3) == part
    assert (part.succeeded, part.failed) == (3, 1)
    assert part.output is not None
    assert part.output.key == "output/part-00007-003.jsonl"
    content = body(store, place / part.output.key)
    assert part.output.bytes == len(content)
    assert part.output.sha256 == hashlib.sha256(content).hexdigest()
    assert [line.position for line in results.read_outputs(store, place, part)] == [3, 4, 5]
    assert [line.attempts for line in results.read_errors(store, place, part)] == [3]
    assert Part.from_json(json.loads(json.dumps(part.to_json()))) == part


def test_nothing_is_written_of_nothing(store: S3Store, place: S3Location) -> None:
    """Neither an output nor an errors object without lines."""
    assert save_part(store, place, PartBuffer().take(), 0, 1) is None
    part = written(store, place, collected(1), 0, 1)
    assert part.errors is None
    assert list(results.read_errors(store, place, part)) == []
    assert [found.location.key for found in store.list(place / "errors")] == []


def test_a_taken_buffer_is_empty() -> None:
    """What was taken is not taken twice."""
    buffer = PartBuffer()
    buffer.succeed(Record(0, None, b""), b"1")
    assert len(buffer.take().outputs) == 1
    assert (buffer.size, buffer.take()) == (0, Batch())


def test_the_manifest_comes_back(store: S3Store, place: S3Location) -> None:
    """The job's members, and its parts by chunk and run; before, the job is not complete."""
    with pytest.raises(S3ObjectNotFound):
        results.read_manifest(store, place)
    parts = [
        written(store, place, collected(n), *at) for n, at in enumerate([(1, 1), (0, 2), (0, 1)])
    ]
    saved = assemble(store, place, [[parts[1]]], AssembleWith.LINE)
    job = {"id": "j", "request_counts": {"total": 3}}
    results.describe(store, place, job)
    results.write_manifest(store, place, job, parts, saved)
    assert json.loads(body(store, place / "job.json")) == job
    found = results.read_manifest(store, place)
    assert (found.job, found.parts) == (job, (parts[2], parts[1], parts[0]))
    assert found.assembled == tuple(saved)
    manifest = json.loads(body(store, place / "manifest.json"))
    assert manifest["parts"][0]["output"]["key"] == "output/part-00000-001.jsonl"


def test_strays_are_removed_and_nothing_else(store: S3Store, place: S3Location) -> None:
    """What killed runs left; not what somebody else has put there."""
    part = written(store, place, collected(1), 0, 1)
    stray = written(store, place, collected(1), 0, 2)
    written(store, place, collected(2, fails=True), 0, 2)
    others = ["output/mine.jsonl", "output/part-00000-002.jsonl.bak", "part-00000-002.jsonl"]
    for name in others:
        store.put(place / name, b"x")
    assert results.remove_strays(store, place, [part]) == 2
    assert stray.output is not None
    left = {found.location.key.removeprefix(f"{place.key}/") for found in store.list(place)}
    assert left == {"output/part-00000-001.jsonl", *others}


def test_strays_stay_where_deleting_is_not_allowed(
    store: S3Store,
    place: S3Location,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The job is complete all the same; a warning says so."""

    def refuse(_: object) -> None:
        raise S3AccessDenied

    written(store, place, collected(1), 0, 1)
    monkeypatch.setattr(store, "delete", refuse)
    with caplog.at_level(logging.WARNING):
        assert results.remove_strays(store, place, []) == 0
    (record,) = caplog.records
    assert (record.message, vars(record)["location"]) == ("strays_left", str(place))


@pytest.mark.parametrize(
    ("how", "content"), [(AssembleWith.LINE, b"0\n1\n2\n3\n5\n"), (AssembleWith.NONE, b"01235")]
)
def test_outputs_are_assembled_in_order(
    store: S3Store, place: S3Location, how: AssembleWith, content: bytes
) -> None:
    """Over the runs of a chunk; without those that failed, and without chunks that all did."""
    one = written(store, place, collected(5, 0, 2), 0, 1)
    two = written(store, place, collected(3, 1), 0, 2)
    failed = written(store, place, collected(6, fails=True), 1, 1)
    (saved,) = assemble(store, place, [[one, two], [failed]], how)
    assert body(store, place / saved.key) == content
    assert (saved.key, saved.records) == ("assembled/part-00000.out", 5)
    assert (saved.bytes, saved.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_prefix_that_cannot_be_written_is_noticed(
    store: S3Store, sagemaker_local: LocalStack
) -> None:
    """By the first object that a job writes."""
    with pytest.raises(S3BucketNotFound):
        results.describe(store, S3Location(f"no-{uuid.uuid4().hex}", "out"), {"id": "j"})
