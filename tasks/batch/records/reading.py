"""The records of a chunk, streamed."""

import json
from collections.abc import Container, Iterator

from ....runtime.exceptions import NotAllowed, S3AccessDenied, S3BucketNotFound, S3ObjectNotFound
from ....runtime.payloads import REALTIME_LIMIT
from ....runtime.s3 import S3Location, S3Store
from .blocks import blocks
from .exceptions import InputRecordTooLarge
from .splitting import LineSplitter, payload, strip
from .values import Chunk, Format, Input, Record, RecordError, SplitType


def read(
    chunk: Chunk,
    input_: Input,
    store: S3Store,
    skip: int = 0,
    *,
    only: Container[int] | None = None,
    fetch: bool = True,
    record_bytes: int = REALTIME_LIMIT,
) -> Iterator[Record | RecordError]:
    """Yield the records of a chunk, in order, a few megabytes of it in memory at a time.

    Args:
        chunk: what the scan yielded.
        input_: what was scanned.
        store: where it lies.
        skip: so many records of the chunk are already done.
        only: positions to yield; the others are passed over.
        fetch: whether the objects that are one record each are fetched; without, a record has its
            location only (an asynchronous endpoint fetches it itself).
        record_bytes: bytes that an object which is one record may have.

    Yields:
        a record, or what kept it from being read: its object is gone, or too large.

    Raises:
        InputChanged: the object is not the one that was scanned.
        S3Error, TransportError: the chunk cannot be read now.
    """
    by_line = input_.split_type is SplitType.LINE
    format_ = input_.format if by_line else Format.JSON
    for position, line in enumerate(_lines(chunk, format_, store), chunk.first):
        if position < chunk.first + skip or (only is not None and position not in only):
            continue
        if by_line:
            id_, data = payload(line, format_)
            yield Record(position, id_, data)
        else:
            location, id_ = json.loads(line)
            record = Record(position, id_, b"", location)
            yield _fetched(record, store, record_bytes) if fetch else record


def _lines(chunk: Chunk, format_: Format, store: S3Store) -> Iterator[bytes]:
    splitter = LineSplitter(chunk.end - chunk.start)
    location = S3Location.parse(chunk.source.location)
    found = blocks(store, location, chunk.start, chunk.end, etag=chunk.source.etag)
    for block in found:
        yield from filter(None, (strip(line, format_) for line in splitter.feed(block)))
    yield from filter(None, (strip(line, format_) for line in splitter.flush()))


def _fetched(record: Record, store: S3Store, limit: int) -> Record | RecordError:
    try:
        found = store.get(S3Location.parse(record.location or ""), limit)
    except (S3ObjectNotFound, S3BucketNotFound, S3AccessDenied, NotAllowed) as error:
        return RecordError(record, error)
    if found.body is None:
        return RecordError(record, InputRecordTooLarge(f"{found.size:,} bytes, at most {limit:,}."))
    return Record(record.position, record.id, found.body, record.location)
