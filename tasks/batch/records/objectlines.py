"""The lines of an object, and where each of them is."""

from collections.abc import Iterator

from ....runtime.s3 import S3Location, S3Store
from .blocks import BLOCK, blocks, fetch
from .splitting import BOM, ENVELOPE, LineSplitter
from .values import Source


class ObjectLines:
    """Iterate over it for line numbers, from 1, and lines without their newlines.

    Attributes:
        source: the object, as it was when reading began.
        start, end: the current line's range of bytes, its newline included; exact until a line
            is over the limit.
        size: bytes that have been read.
    """

    def __init__(self, store: S3Store, location: S3Location, limit: int) -> None:
        self._store = store
        self._location = location
        self._splitter = LineSplitter(limit + ENVELOPE)
        self.source = Source(str(location), "")
        self.start = self.end = self.size = 0
        self._newline = 1

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Read the object once.

        Raises:
            S3ObjectNotFound: it is not there.
            InputChanged: it was replaced meanwhile.
            S3Error, TransportError: it cannot be read now.
        """
        number = 0
        for lines in self._batches():
            for line in lines:
                number += 1
                self.start, self.end = self.end, self.end + len(line) + self._newline
                if number == 1 and line.startswith(BOM):
                    self.start = len(BOM)
                    yield number, line[len(BOM) :]
                else:
                    yield number, line

    def _batches(self) -> Iterator[list[bytes]]:
        begin = fetch(self._store, self._location, 0, BLOCK)
        self.source = Source(str(self._location), begin.etag)
        self.size = len(begin.body)
        yield self._splitter.feed(begin.body)
        rest = blocks(self._store, self._location, self.size, begin.size, etag=begin.etag)
        for block in rest:
            self.size += len(block)
            yield self._splitter.feed(block)
        # The last line may have none.
        self._newline = 0
        yield self._splitter.flush()
