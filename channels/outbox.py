"""What a publisher has still to send: numbered frames, kept while Redis is gone."""

import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from .wire import Frame, pack

#: Bytes of payload in one script call, unless a single frame has more.
CALL_BYTES = 256 * 1024

#: Frames in one script call: Redis does nothing else meanwhile (some milliseconds).
CALL_FRAMES = 200


@dataclass(frozen=True, slots=True)
class Numbered:
    """A frame, and the sequence of its first record."""

    first: int
    frame: Frame


@dataclass(slots=True)
class Outbox:
    """Frames in order, each with its final id: sent twice, it counts once.

    Args:
        attempt: of the producer.
        limit: bytes that may wait; beyond, everything is dropped and nothing is taken any more.
    """

    attempt: int
    limit: int
    parts: int = 0
    """Records so far."""
    total: int = 0
    """Their bytes."""
    crc32: int = 0
    """Of all their bytes."""
    overflowed: bool = False
    _waiting: deque[Numbered] = field(default_factory=deque)
    _bytes: int = 0

    def put(self, records: Sequence[bytes]) -> None:
        """Number the records and keep them as one frame."""
        if not records:
            return
        for record in records:
            self.crc32 = zlib.crc32(record, self.crc32)
            self.total += len(record)
        first, self.parts = self.parts + 1, self.parts + len(records)
        frame = pack(self.attempt, self.parts, records)
        if self.overflowed or self._bytes + len(frame.payload) > self.limit:
            self.give_up()
        else:
            self._waiting.append(Numbered(first, frame))
            self._bytes += len(frame.payload)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def give_up(self) -> None:
        """Forget what waits, and take nothing more."""
        self.overflowed = True
        self._waiting.clear()
        self._bytes = 0

    def head(self) -> list[Numbered]:
        """Return the oldest frames, as many as one call takes."""
        chosen, size = list[Numbered](), 0
        for numbered in islice(self._waiting, CALL_FRAMES):
            size += len(numbered.frame.payload)
            if chosen and size > CALL_BYTES:
                break
            chosen.append(numbered)
        return chosen

    def confirm(self, count: int) -> None:
        """Redis has the oldest `count` frames."""
        for _ in range(min(count, len(self._waiting))):
            self._bytes -= len(self._waiting.popleft().frame.payload)
