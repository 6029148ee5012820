"""Records: what a payload that comes in arbitrary pieces is cut into. No I/O.

SageMaker's parts end anywhere, within a JSON record and within a character. A record is whole: it
can be read without those before it. Records keep what ends them (a line's end, an event's blank
line), so several in a row are records still, and all of them joined are the payload.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from . import tokens
from .exceptions import RecordTooLarge

#: Bytes; the default for how long a record may become.
RECORD_LIMIT = 1024 * 1024

Finish = Literal["complete", "unknown"]


@dataclass(frozen=True, slots=True)
class Record:
    """A whole record.

    Attributes:
        data: its bytes, with what ends it.
        text: what the model wrote in it; see `tokens.text_of`.
        terminal: whether it says that the answer is complete.
        error: the model's message, when it failed after its answer had begun.
    """

    data: bytes
    text: str = ""
    terminal: bool = False
    error: str | None = None


class Framer(ABC):
    """Takes pieces of a payload and gives its records.

    Args:
        limit: bytes; how long a record may become.
    """

    name: ClassVar[str]

    def __init__(self, limit: int = RECORD_LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._is_finished = False

    def feed(self, data: bytes) -> Iterator[Record]:
        """Take a piece at once; iterate over the records that are whole now.

        Raises:
            RecordTooLarge: a record is longer than the limit. Those before it are given first.
        """
        self._buffer += data
        return self._records()

    def flush(self) -> Iterator[Record]:
        """Say that the payload has ended; iterate over the last record, if anything is left."""
        yield from self._records()
        if self._buffer:
            yield self._take(len(self._buffer))

    @property
    def finish(self) -> Finish:
        """Whether the payload itself said that it is complete. A stream that ends does not say."""
        return "complete" if self._is_finished else "unknown"

    @abstractmethod
    def _find_end(self) -> int | None:
        """Return where the first record of the buffer ends. Must not look at a byte twice."""

    def _records(self) -> Iterator[Record]:
        while end := self._find_end():
            self._check(end)
            yield self._take(end)
        self._check(len(self._buffer))

    def _take(self, end: int) -> Record:
        data = bytes(self._buffer[:end])
        del self._buffer[:end]
        found = tokens.recognise(self.name, data)
        # A choice may end before another one goes on: text after an end means it was not the last.
        has_more = found.text or found.error is not None
        self._is_finished = found.terminal or (self._is_finished and not has_more)
        return Record(data, found.text, found.terminal, found.error)

    def _check(self, length: int) -> None:
        if length > self._limit:
            raise RecordTooLarge(
                f"A record of the stream is over {self._limit} bytes.", {"limit": self._limit}
            )
