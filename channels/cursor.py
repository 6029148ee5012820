"""A position in a stream: the number of the attempt, and of the record in it."""

import re
from dataclasses import dataclass
from typing import Self

#: An id as Redis Streams have it: two unsigned 64-bit numbers.
PATTERN = re.compile(r"(\d{1,20})-(\d{1,20})")

#: The largest number in an id.
MAX = 2**64 - 1


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A position, ordered as Redis orders it: by attempt, then by sequence, as integers.

    Record n of an attempt has sequence n; 0 is the attempt's open frame, and its terminal frame
    comes after its last record.
    """

    attempt: int
    seq: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.seq}"

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Read `<attempt>-<seq>` or `earliest`.

        Raises:
            ValueError: it is neither.
        """
        given = text.decode("ascii", "replace") if isinstance(text, bytes) else text
        if given == "earliest":
            return cls(0, 0)
        found = PATTERN.fullmatch(given, 0)
        if not found or not given.isascii() or max(map(int, found.groups())) > MAX:
            raise ValueError(f"no cursor: {given[:64]!r}; wanted <attempt>-<seq> or 'earliest'")
        return cls(int(found[1]), int(found[2]))

    def at(self, seq: int) -> "Cursor":
        """Return another position of the same attempt."""
        return Cursor(self.attempt, seq)


#: Before everything.
EARLIEST = Cursor(0, 0)
