"""One pass over the input: every line is validated, and chunks are cut as it goes."""

from collections.abc import Iterator
from dataclasses import dataclass

from ....runtime.payloads import REALTIME_LIMIT
from ....runtime.s3 import S3Location, S3Store
from .values import Chunk, Input, InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """How the input is cut, and what a record may be.

    Attributes:
        listing: where the names of objects that are one record each are kept; it needs no more
            than a location under the job's own prefix.
    """

    listing: S3Location
    chunk_bytes: int = 4_194_304
    chunk_records: int = 5_000
    record_bytes: int = REALTIME_LIMIT
    max_errors: int = 1_000


class Scan:
    """Iterate over it once for the chunks; then ask it what was found.

    Attributes:
        errors: the first `max_errors` that were found, complete once the iteration has ended.
        error_count: of all that were found.
        records: how many have been seen.
        bytes: how many have been read.
    """

    def __init__(self, input_: Input, store: S3Store, options: ScanOptions) -> None:
        self.errors: list[InputError] = []
        self.error_count = 0
        self.records = 0
        self.bytes = 0
        self._input = input_
        self._store = store
        self._options = options

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the chunks.

        What is wrong with the input, a missing object and an empty input included, becomes one of
        the `errors`; after the first, no more chunks come, and only errors are looked for.

        Raises:
            S3Error, TransportError: S3 cannot be read now.
        """
        raise NotImplementedError


def scan(input_: Input, store: S3Store, options: ScanOptions) -> Scan:
    """Return the pass over an input; reading begins with its iteration."""
    return Scan(input_, store, options)
