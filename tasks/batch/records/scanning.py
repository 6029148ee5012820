"""One pass over the input: every line is validated, and chunks are cut as it goes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ....runtime.exceptions import (
    InferenceError,
    NotAllowed,
    S3AccessDenied,
    S3BucketNotFound,
    S3ObjectNotFound,
)
from ....runtime.payloads import REALTIME_LIMIT
from ....runtime.s3 import S3Location, S3Store
from .blocks import fetch
from .duplicates import Seen
from .exceptions import DuplicateCustomId, EmptyInput, InputRecordTooLarge, InvalidInput
from .inputs import named
from .objectlines import ObjectLines
from .splitting import strip, validate
from .values import Chunk, Format, Input, InputError, Source, SplitType

#: What the caller has to mend, in the input or in its permissions.
WRONG = (InvalidInput, S3ObjectNotFound, S3BucketNotFound, S3AccessDenied, NotAllowed)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """How the input is cut, and what a record may be."""

    listing: S3Location
    """Where the names of objects that are one record each are kept: under the job's own prefix."""
    chunk_bytes: int = 4 * 1_048_576
    """Bytes after which a chunk of lines ends."""
    chunk_records: int = 5_000
    """Records after which a chunk ends."""
    record_bytes: int = REALTIME_LIMIT
    """Bytes that a payload may have."""
    max_errors: int = 1_000
    """Errors that are kept."""


class Scan:
    """Iterate over it once for the chunks; then ask it what was found.

    Attributes:
        errors: the first `max_errors` that were found; complete once the iteration has ended.
        error_count: how many were found.
        records: how many have been seen, wrong ones too.
        bytes: how many have been read; of whole objects, how many the listing told.
    """

    def __init__(self, input_: Input, store: S3Store, options: ScanOptions) -> None:
        self.errors: list[InputError] = []
        self.error_count = 0
        self.records = 0
        self.bytes = 0
        self._input = input_
        self._store = store
        self._options = options
        self._cutter = _Cutter(options)
        self._seen = Seen()

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the chunks.

        What is wrong with the input, a missing object and an empty input included, becomes one of
        the `errors`; after the first, no more chunks come, and only errors are looked for. Ids
        that came twice are found at the end: nothing should be sent before.

        Raises:
            InputChanged: an object was replaced while it was read.
            S3Error, TransportError: S3 cannot be read now, or the listing not be written.
        """
        by_line = self._input.split_type is SplitType.LINE
        for chunk in self._cut_lines() if by_line else self._cut_listing():
            if not self.error_count:
                yield chunk
        if suspects := self._seen.suspects(self._options.max_errors):
            self._confirm(suspects)
        if not self.records and not self.error_count:
            self._note(0, EmptyInput(), self._input.location)

    def _objects(self) -> Iterator[tuple[S3Location, str, int | None]]:
        try:
            for found in named(self._input, self._store):
                yield found.location, found.id, found.size
        except WRONG as error:
            self._note(0, error, self._input.location)

    def _cut_lines(self) -> Iterator[Chunk]:
        for location, _, _ in self._objects():
            lines = ObjectLines(self._store, location, self._options.record_bytes)
            try:
                yield from self._cut(lines, location)
            except WRONG as error:
                self._note(0, error, location)
            self.bytes += lines.size

    def _cut(self, lines: ObjectLines, location: S3Location) -> Iterator[Chunk]:
        cutter, format_ = self._cutter, self._input.format
        for number, line in lines:
            if data := strip(line, format_):
                self._check(number, data, format_, location)
                self.records += 1
                if cutter.add(lines.start, lines.end):
                    yield cutter.take(lines.source)
        # Chunks do not reach over objects.
        if cutter.count:
            yield cutter.take(lines.source)

    def _check(self, line: int, data: bytes, format_: Format, location: S3Location) -> None:
        try:
            id_ = validate(data, format_, self._options.record_bytes)
        except InvalidInput as error:
            self._note(line, error, location)
        else:
            if id_ is not None:
                self._seen.add(id_)

    def _cut_listing(self) -> Iterator[Chunk]:
        """Write the listing of objects that are one record each, and cut that."""
        where, chunks = self._options.listing, list[Chunk]()
        self._store.put_blocks(where, self._listing(chunks), "application/jsonl")
        source = Source(str(where), fetch(self._store, where, 0, 1).etag)
        yield from (replace(chunk, source=source) for chunk in chunks)

    def _listing(self, chunks: list[Chunk]) -> Iterator[bytes]:
        unwritten = Source(str(self._options.listing), "")
        end = 0
        for location, id_, size in self._objects():
            self._weigh(location, size or 0)
            line = json.dumps([str(location), id_]).encode() + b"\n"
            yield line
            start, end = end, end + len(line)
            if self._cutter.add(start, end):
                chunks.append(self._cutter.take(unwritten))
        if self._cutter.count:
            chunks.append(self._cutter.take(unwritten))

    def _weigh(self, location: S3Location, size: int) -> None:
        limit = self._options.record_bytes
        self.records += 1
        self.bytes += size
        if size > limit:
            self._note(0, InputRecordTooLarge(f"{size:,} bytes, at most {limit:,}."), location)

    def _confirm(self, suspects: set[int]) -> None:
        """Read again an input that is very likely wrong, and note what came twice."""
        before: dict[str, str] = {}
        for location, _, _ in self._objects():
            for line, data in ObjectLines(self._store, location, self._options.record_bytes):
                id_ = self._id(strip(data, self._input.format))
                if id_ is None or hash(id_) not in suspects:
                    continue
                if id_ in before:
                    text = f"The custom_id {id_!r} is already that of {before[id_]}."
                    self._note(line, DuplicateCustomId(text), location)
                before.setdefault(id_, f"line {line} of {location}")

    def _id(self, data: bytes) -> str | None:
        try:
            return validate(data, self._input.format, self._options.record_bytes) if data else None
        except InvalidInput:
            return None

    def _note(self, line: int, error: InferenceError, location: S3Location) -> None:
        self.error_count += 1
        if len(self.errors) < self._options.max_errors:
            self.errors.append(InputError(line, error.code, error.message, str(location)))


def scan(input_: Input, store: S3Store, options: ScanOptions) -> Scan:
    """Return the pass over an input; reading begins with its iteration."""
    return Scan(input_, store, options)


class _Cutter:
    """Counts records and bytes, and says where a chunk ends."""

    def __init__(self, options: ScanOptions) -> None:
        self._options = options
        self._index = self._first = self._start = self._end = 0
        self.count = 0

    def add(self, start: int, end: int) -> bool:
        """Add a record's range; return whether the chunk is full."""
        if not self.count:
            self._start = start
        self.count += 1
        self._end = end
        return (
            self.count >= self._options.chunk_records
            or end - self._start >= self._options.chunk_bytes
        )

    def take(self, source: Source) -> Chunk:
        """Return the chunk that ends here, and begin the next."""
        chunk = Chunk(self._index, source, self._start, self._end, self._first, self.count)
        self._index += 1
        self._first += self.count
        self.count = 0
        return chunk
