"""The objects that a job writes under its output prefix.

output/part-00007.jsonl          a line for each record of chunk 7 that has an output
output/part-00007_0000350.jsonl  the same, from its record 350 on: a run before saved the others
errors/part-00007.jsonl          a line for each record that has none
manifest.json                    counts, keys and checksums; written last, so it means complete
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from ....runtime.exceptions import InferenceError
from ....runtime.s3 import S3Location, S3Store
from .lines import ErrorLine, OutputLine
from .values import Chunk, Record


class AssembleWith(StrEnum):
    """How outputs are put together when they are not lines of JSON with the record's id."""

    LINE = "Line"
    NONE = "None"


@dataclass(frozen=True, slots=True)
class Saved:
    """An object that was written; `key` is relative to the job's output prefix."""

    key: str
    records: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """What one run of a chunk has saved: records [skip, skip + records) of the chunk."""

    chunk: int
    skip: int
    first: int
    """Position in the job of its first record."""
    records: int
    output: Saved | None
    errors: Saved | None

    @property
    def succeeded(self) -> int:
        """Records that have an output."""
        return self.output.records if self.output else 0

    @property
    def failed(self) -> int:
        """Records that have none."""
        return self.errors.records if self.errors else 0

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        raise NotImplementedError


class PartWriter:
    """Collects what comes of a chunk's records, in any order, and saves it in theirs.

    Keeps a few megabytes in memory and the rest in a temporary file; close it, or use it with
    `with`. Not for several threads at once.

    Args:
        store, output: the job's output prefix.
        chunk, skip: whose records they are, and how many of them an earlier run has saved.
        assemble_with: by default lines of JSON with the record's id.
        again: a run of this chunk may have saved something already; errors that it wrote and that
            did not occur again are emptied.
    """

    def __init__(
        self,
        store: S3Store,
        output: S3Location,
        chunk: Chunk,
        *,
        skip: int = 0,
        assemble_with: AssembleWith | None = None,
        again: bool = False,
    ) -> None:
        raise NotImplementedError

    def succeed(self, record: Record, output: bytes, content_type: str | None = None) -> None:
        """Add a record's output; the second answer for a record is ignored."""
        raise NotImplementedError

    def fail(self, record: Record, error: InferenceError, attempts: int) -> None:
        """Add a record's error."""
        raise NotImplementedError

    def settled(self) -> int:
        """Return how many records, from `skip` on and without a gap, have their answer."""
        raise NotImplementedError

    def save(self, records: int | None = None) -> Part:
        """Write the objects, replacing those of an earlier run.

        Args:
            records: how many, from `skip` on; by default `settled()`. A chunk that is stopped
                early saves those, and a later run goes on with `skip + records`.

        Raises:
            S3Error, TransportError: they were not written.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Drop what was collected."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def describe(store: S3Store, output: S3Location, job: Mapping[str, Any]) -> None:
    """Write `job.json`: what the job is. Shows early that the prefix can be written.

    Raises:
        S3Error, TransportError: it cannot.
    """
    raise NotImplementedError


def write_manifest(
    store: S3Store, output: S3Location, job: Mapping[str, Any], parts: Iterable[Part]
) -> Saved:
    """Write `manifest.json`: the job's own members (id, request_counts, ...), then its objects.

    Raises:
        S3Error, TransportError: it was not written.
    """
    raise NotImplementedError


def read_outputs(store: S3Store, output: S3Location, part: Part) -> Iterator[OutputLine]:
    """Yield a part's outputs in order of position, streamed."""
    raise NotImplementedError


def read_errors(store: S3Store, output: S3Location, part: Part) -> Iterator[ErrorLine]:
    """Yield a part's errors in order of position, streamed."""
    raise NotImplementedError
