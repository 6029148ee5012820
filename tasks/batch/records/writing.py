"""Collecting what comes of a chunk's records, and saving it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from ....runtime.exceptions import InferenceError
from ....runtime.s3 import S3Location, S3Store
from .lines import encode_error, encode_output
from .packing import JSON_LINES
from .parts import ERRORS, OUTPUT, Part, Saved, key
from .values import Record

#: A record's position and its line.
Line = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines that were collected, in no order."""

    outputs: list[Line] = field(default_factory=list)
    errors: list[Line] = field(default_factory=list)


class PartBuffer:
    """Collects the outcomes of records in memory, one for each; for one thread.

    Attributes:
        size: bytes that were collected since the last `take`. Take in time.
    """

    def __init__(self) -> None:
        self.size = 0
        self._batch = Batch()

    def succeed(self, record: Record, output: bytes, content_type: str | None = None) -> None:
        """Add a record's output."""
        self._add(self._batch.outputs, record, encode_output(record, output, content_type))

    def fail(self, record: Record, error: InferenceError, attempts: int) -> None:
        """Add a record's error."""
        self._add(self._batch.errors, record, encode_error(record, error, attempts))

    def take(self) -> Batch:
        """Return what was collected, and begin anew."""
        taken, self._batch, self.size = self._batch, Batch(), 0
        return taken

    def _add(self, lines: list[Line], record: Record, line: bytes) -> None:
        lines.append((record.position, line))
        self.size += len(line)


def save_part(
    store: S3Store, output: S3Location, batch: Batch, chunk: int, run: int
) -> Part | None:
    """Write a batch, in order of position; may be called again with the same.

    Args:
        store: where to write.
        output: the job's output prefix.
        batch: what was collected.
        chunk: the chunk's index.
        run: the number that this run of the chunk has for its own.

    Returns:
        what was written; None if the batch is empty.

    Raises:
        S3Error, TransportError: it was not written, or not all of it.
    """

    def save(folder: str, lines: list[Line]) -> Saved | None:
        return _save(store.put, output, key(folder, chunk, run), lines) if lines else None

    part = Part(chunk, run, save(OUTPUT, batch.outputs), save(ERRORS, batch.errors))
    return part if part.objects else None


def _save(
    put: Callable[[S3Location, bytes, str], None], prefix: S3Location, name: str, lines: list[Line]
) -> Saved:
    body = b"".join(line for _, line in sorted(lines))
    put(prefix / name, body, JSON_LINES)
    return Saved(name, len(lines), len(body), hashlib.sha256(body).hexdigest())
