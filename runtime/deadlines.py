"""How long a response stream may take. No I/O, and no clock of its own."""

from dataclasses import dataclass
from typing import NamedTuple


class Deadline(NamedTuple):
    """One of the deadlines, and the monotonic second at which it passes."""

    name: str
    seconds: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDeadlines:
    """How long a stream may take; seconds, by default as long as it likes.

    The client's `read_timeout` holds as well, for the head and between any two bytes, and ends a
    stream with `ReadTimeout`: a deadline that is longer never comes.

    Attributes:
        first_part: from the call to the first part; the time in queues and to the first token.
        idle: from one part to the next, while somebody waits for it.
        total: from the call to the end, whether or not parts come.
    """

    first_part: float | None = None
    idle: float | None = None
    total: float | None = None

    def next(self, began: float, since: float, *, has_part: bool) -> Deadline | None:
        """Return the deadline that passes first.

        Args:
            began: when the call was made; monotonic seconds.
            since: when waiting for a part began.
            has_part: whether there has been one.
        """
        found = []
        if self.total is not None:
            found.append(Deadline("total", self.total, began + self.total))
        if has_part and self.idle is not None:
            found.append(Deadline("idle", self.idle, since + self.idle))
        if not has_part and self.first_part is not None:
            # What came while nobody asked for it came in time.
            at = max(began + self.first_part, since)
            found.append(Deadline("first_part", self.first_part, at))
        return min(found, key=lambda deadline: deadline.at, default=None)


UNLIMITED = StreamDeadlines()
